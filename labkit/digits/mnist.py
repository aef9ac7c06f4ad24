"""MNIST itself, downloaded by keras: for those who are online."""

from typing import Literal

import numpy as np

from labkit.digits.digit import Digits
from labkit.errors import LabError


def load_mnist(split: Literal["train", "test"]) -> Digits:
    """60,000 training or 10,000 test digits; 11 MB, fetched once into keras's cache.

    Raises:
        LabError: It could not be downloaded.
    """
    # Imported here: keras brings TensorFlow with it, which the other sources do not need.
    import keras

    try:
        train, test = keras.datasets.mnist.load_data()
    except Exception as error:  # keras turns every network trouble into a bare Exception
        raise LabError(
            f"MNIST could not be downloaded: {str(error).splitlines()[0]}",
            "use the digits that are always there: load_digits('bundled', ...)",
        ) from error
    images, labels = train if split == "train" else test
    return Digits(np.asarray(images, np.uint8), np.asarray(labels, np.uint8), f"MNIST, {split}")
