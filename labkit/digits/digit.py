"""What a digit is: 28×28 uint8, 0 for paper and 255 for ink, and a label from 0 to 9 or none yet."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.errors import LabError

SIDE = 28
PIXELS = SIDE * SIDE

Image = npt.NDArray[np.uint8]
"""A 28×28 image, uint8."""


def check_pixels(pixels: Any) -> Image:
    """Make sure that something is a digit's image.

    Args:
        pixels: 28×28 or 784 values as integers from 0 to 255, or 784 bytes.

    Returns:
        The image, uint8 of shape (28, 28).

    Raises:
        LabError: Another shape, another type or a value out of range; the message says what was found.
    """
    if isinstance(pixels, bytes | bytearray | memoryview):
        pixels = np.frombuffer(pixels, np.uint8)
    try:
        array = np.asarray(pixels)
    except ValueError:
        raise LabError(
            f"a digit has {SIDE}×{SIDE} pixels, and these rows differ in length", "make them equal"
        ) from None
    if array.shape not in ((SIDE, SIDE), (PIXELS,)):
        raise LabError(f"a digit has {SIDE}×{SIDE} pixels, not {_shape(array)}", f"resize it to {SIDE}×{SIDE}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise LabError("a digit's pixels are numbers, and some of these are NaN", "replace them, 0 is paper")
    if array.dtype.kind not in "ui":
        raise LabError(
            f"a digit's pixels are whole numbers from 0 to 255, not {array.dtype}", "(255 * x).astype('uint8')"
        )
    if array.min() < 0 or array.max() > 255:
        raise LabError(
            f"a digit's pixels go from 0 to 255, these from {array.min()} to {array.max()}", "clip or scale them"
        )
    return array.astype(np.uint8).reshape(SIDE, SIDE)


def check_label(label: Any, *, allow_none: bool = True) -> int | None:
    """Make sure that something is a label.

    Args:
        label: A whole number from 0 to 9, or None for one that is not known yet.
        allow_none: Whether None will do.

    Returns:
        The label as an int, or None.

    Raises:
        LabError: Anything else.
    """
    if label is None and allow_none:
        return None
    if isinstance(label, bool | np.bool_) or not isinstance(label, int | np.integer) or not 0 <= label <= 9:
        none = ", or None if it is not known yet" if allow_none else ""
        raise LabError(f"{label!r} is no label", f"a whole number from 0 to 9{none}")
    return int(label)


@dataclass(frozen=True, slots=True)
class Digits:
    """A number of labelled digits.

    Attributes:
        images: uint8 of shape (n, 28, 28).
        labels: uint8 of shape (n,).
        source: Where they come from, in words.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        for image, label in zip(self.images, self.labels, strict=True):
            yield image, int(label)

    def take(self, count: int) -> "Digits":
        """The first ``count`` digits."""
        return Digits(self.images[:count], self.labels[:count], self.source)

    def join(self, others: "Digits") -> "Digits":
        """These digits and then the others."""
        return Digits(
            np.concatenate([self.images, others.images]),
            np.concatenate([self.labels, others.labels]),
            f"{self.source}; {others.source}",
        )

    def shuffle(self, seed: int) -> "Digits":
        """The same digits in another, repeatable order."""
        order = np.random.default_rng(seed).permutation(len(self))
        return Digits(self.images[order], self.labels[order], self.source)


def _shape(array: npt.NDArray[Any]) -> str:
    return "×".join(map(str, array.shape)) if array.ndim > 1 else f"{array.size} values"
