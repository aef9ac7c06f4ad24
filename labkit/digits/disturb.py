"""Disturbed digits: noise, rotation, a thicker pen, another hand, for a stream on which a model visibly fails."""

import math
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from labkit.digits.digit import SIDE, Image
from labkit.errors import LabError

Disturbance = Literal["clean", "noisy", "rotated", "thick", "hand"]
DISTURBANCES: tuple[Disturbance, ...] = get_args(Disturbance)

MOST_NOISE = 160.0
"""Standard deviation of the noise at strength 1, in grey levels of 255."""
MOST_ROTATION_DEG = 90.0
"""Rotation at strength 1, clockwise."""
MOST_THICKER_PX = 2.5
"""By how much the pen's radius is larger at strength 1."""
MOST_SLANT = 1.0
"""How far a digit's top leans to the left at strength 1, as a share of its height. Most hands lean to the right."""
MOST_NARROWER = 0.4
"""By what share of its width a digit is narrower at strength 1."""


def disturb(image: Image, how: Disturbance, strength: float, random: np.random.Generator) -> Image:
    """A digit with noise over it, turned, or written with another pen or by another hand.

    Args:
        image: uint8 of shape (28, 28).
        how: ``clean`` returns it as it is; ``noisy`` adds Gaussian noise to every pixel; ``rotated`` turns it
            clockwise about its middle; ``thick`` draws its lines with a thicker pen; ``hand`` lets it lean to the left
            and makes it narrower, as if somebody else wrote.
        strength: 0 for none, 1 for the most: noise of a standard deviation of 160 grey levels, a quarter turn, lines
            5 pixels wider, or a slant of 1 at 0.6 of the width.
        random: Where the noise comes from.

    Returns:
        A new image, uint8 of shape (28, 28).

    Raises:
        LabError: An unknown disturbance, or a strength that is not from 0 to 1.
    """
    how, strength = check_disturbance(how, strength)
    if how == "noisy":
        noise: npt.NDArray[np.floating] = random.normal(0.0, MOST_NOISE * strength, image.shape)
        return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)
    if how == "rotated":
        # scipy turns counter-clockwise where rows are drawn downwards.
        turned: Any = ndimage.rotate(image, -MOST_ROTATION_DEG * strength, reshape=False, order=1)
        return turned
    if how == "thick":
        return _thicken(image, MOST_THICKER_PX * strength)
    if how == "hand":
        return _write_anew(image, MOST_SLANT * strength, 1 - MOST_NARROWER * strength)
    return image.copy()


def _thicken(image: Image, radius_px: float) -> Image:
    """Draw along all ink with a round pen: grey dilation by a disc whose edge fades over one pixel."""
    reach = math.ceil(radius_px) + 1
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    pen = -255 * np.clip(np.hypot(rows, columns) - radius_px, 0.0, 1.0)
    inked: Any = ndimage.grey_dilation(image.astype(np.float64), structure=pen, mode="constant")
    return np.round(inked).astype(np.uint8)


def _write_anew(image: Image, slant: float, width: float) -> Image:
    """Lean a digit to the left about its middle and change its width; rows stay where they are."""
    # Maps a place in the new image to one in the old: the row stays, the column is moved by the row's height.
    back = np.array([[1.0, 0.0], [-slant / width, 1 / width]])
    middle = np.full(2, (SIDE - 1) / 2)
    written: Any = ndimage.affine_transform(image, back, offset=middle - back @ middle, order=1)
    return written


def check_disturbance(how: Any, strength: Any) -> tuple[Disturbance, float]:
    """Make sure that something is a disturbance and its strength.

    Raises:
        LabError: Anything else.
    """
    if how not in DISTURBANCES:
        raise LabError(f"samples cannot be {how!r}", f"one of {', '.join(DISTURBANCES)}")
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
        raise LabError(f"a strength of {strength!r} makes no sense", "a number from 0, none, to 1, the most")
    return how, float(strength)
