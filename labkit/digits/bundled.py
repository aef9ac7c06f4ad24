"""scikit-learn's handwritten digits: in the package itself, so they are always there."""

from typing import Literal

import numpy as np

from labkit.digits.digit import Digits
from labkit.digits.mnist_format import to_mnist_format

TEST_DIGITS = 500
SPLIT_SEED = 2024
UPSCALE = 4

Split = Literal["train", "test"]


def load_bundled(split: Split) -> Digits:
    """1,297 training or 500 test digits in MNIST's format, every class in the same share in both.

    Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998, as bundled with
    scikit-learn: 8×8 images of 0 to 16 that count the ink in each 4×4 cell of a 32×32 bitmap.
    """
    # Imported here: scikit-learn takes two seconds and 80 MB, and most commands load no digits.
    from sklearn.datasets import load_digits as load_sklearn_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_sklearn_digits(return_X_y=True)
    parts = train_test_split(
        images.reshape(-1, 8, 8), labels, test_size=TEST_DIGITS, stratify=labels, random_state=SPLIT_SEED
    )
    chosen, chosen_labels = (parts[0], parts[2]) if split == "train" else (parts[1], parts[3])
    return Digits(
        np.stack([to_mnist_format(image) for image in chosen]),
        chosen_labels.astype(np.uint8),
        f"scikit-learn's handwritten digits, {split}",
    )
