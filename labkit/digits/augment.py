"""Varied copies of digits: other slants, sizes, places and pens."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from labkit.digits.digit import SIDE, Digits, Image

ROTATION_DEG = 12.0
SHEAR = 0.25
SCALE = 0.15
SHIFT_PX = 1.5


def augment(digits: Digits, copies: int, seed: int = 0) -> Digits:
    """The digits and a number of varied copies of each, in a shuffled order.

    Every copy is rotated by up to 12°, sheared by up to 0.25, scaled by up to 15 % and shifted by up to 1.5 pixels, and
    drawn with another pen: its strokes are made thinner or thicker and its edges sharper.

    Args:
        digits: The originals.
        copies: Copies of each.
        seed: The same seed gives the same copies.

    Returns:
        ``len(digits) * (1 + copies)`` digits.
    """
    random = np.random.default_rng(seed)
    images, labels = [digits.images], [digits.labels]
    for _ in range(copies):
        images.append(np.stack([_vary(image, random) for image in digits.images]))
        labels.append(digits.labels)
    together = Digits(np.concatenate(images), np.concatenate(labels), digits.source)
    return together.shuffle(seed)


def _vary(image: Image, random: np.random.Generator) -> Image:
    angle = np.deg2rad(random.uniform(-ROTATION_DEG, ROTATION_DEG))
    shear = random.uniform(-SHEAR, SHEAR)
    scale_y, scale_x = random.uniform(1 - SCALE, 1 + SCALE, 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[1 / scale_y, 0.0], [shear, 1 / scale_x]])
    middle = np.full(2, (SIDE - 1) / 2)
    offset = middle - matrix @ middle + random.uniform(-SHIFT_PX, SHIFT_PX, 2)
    moved = ndimage.affine_transform(image.astype(np.float32) / 255, matrix, offset, order=1)
    return np.round(_other_pen(moved, random) * 255).astype(np.uint8)


def _other_pen(image: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw the same lines thinner or thicker: blur, then cut at another level, with a soft edge."""
    blurred = ndimage.gaussian_filter(image, random.uniform(0.3, 0.9))
    level = random.uniform(0.15, 0.65) * blurred.max()
    # No softer than twice the level, or paper would turn grey.
    softness = min(random.uniform(0.1, 0.35), 2 * level)
    return np.clip((blurred - level) / softness + 0.5, 0.0, 1.0)
