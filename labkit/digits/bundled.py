"""scikit-learn's handwritten digits: in the package itself, so they are always there."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from labkit.digits.digit import Digits
from labkit.digits.mnist_format import to_mnist_format

TEST_DIGITS = 500
SPLIT_SEED = 2024
FINER = 4
"""Pixels a side for each cell of the 8×8 images: the size of the bitmaps that were counted."""

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
    parts: Any = train_test_split(
        images.reshape(-1, 8, 8), labels, test_size=TEST_DIGITS, stratify=labels, random_state=SPLIT_SEED
    )
    chosen, chosen_labels = (parts[0], parts[2]) if split == "train" else (parts[1], parts[3])
    return Digits(
        np.stack([to_mnist_format(_sharpen(image)) for image in chosen]),
        chosen_labels.astype(np.uint8),
        f"scikit-learn's handwritten digits, {split}",
    )


def _sharpen(cells: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Draw lines where cells are darker than those around them, as a pen's ink is: black with narrow grey edges."""
    # A rim of paper first, or a line along the edge would have no other side.
    fine = ndimage.zoom(np.pad(cells / 16.0, 1), FINER, order=3, grid_mode=True, mode="nearest")
    around = ndimage.gaussian_filter(fine, FINER)
    contrast = ndimage.gaussian_filter(fine, 0.16 * FINER) - 0.8 * around
    return np.clip((contrast / contrast.max() - 0.2) / 0.4 + 0.5, 0.0, 1.0)
