"""MNIST's format: the ink in a 20×20 box, its aspect kept, its centre of mass in the middle of 28×28."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from scipy import ndimage

from labkit.digits.digit import SIDE, Image

BOX = 20
INK = 0.05
"""Below this share of the darkest ink a pixel counts as paper when the box is fitted."""


def to_mnist_format(gray: npt.NDArray[np.floating]) -> Image:
    """Bring a picture of one digit to MNIST's format.

    Args:
        gray: Shape (height, width), 0 for paper and the largest value for full ink; some ink in it.

    Returns:
        uint8 of shape (28, 28).

    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits": normalised to fit in a 20×20 box while
    preserving the aspect ratio, grey levels from anti-aliasing, centred by the centre of mass.
    """
    gray = np.asarray(gray, np.float32) / gray.max()
    rows, columns = np.where(gray > INK)
    ink = gray[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = BOX / max(ink.shape)
    height, width = (max(1, round(size * scale)) for size in ink.shape)
    # Bicubic overshoots at edges, hence the clip.
    small = Pillow.fromarray(ink).resize((width, height), Pillow.Resampling.BICUBIC)
    boxed = np.clip(np.asarray(small), 0.0, 1.0)
    canvas = np.zeros((SIDE, SIDE), np.float32)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    canvas[top : top + height, left : left + width] = boxed / boxed.max()
    return np.round(centre_by_mass(canvas) * 255).astype(np.uint8)


def centre_by_mass(image: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Shift an image by whole pixels so that its centre of mass is in the middle; what leaves the edge is lost."""
    mass: Any = ndimage.center_of_mass(image)
    down, right = mass
    middle = (SIDE - 1) / 2
    return ndimage.shift(image, (round(middle - down), round(middle - right)), order=0)
