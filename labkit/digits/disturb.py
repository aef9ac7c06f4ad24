"""Disturbed digits: noise and rotation, for a stream on which a model visibly fails."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from labkit.digits.digit import Image
from labkit.errors import LabError

Disturbance = Literal["clean", "noisy", "rotated"]
DISTURBANCES: tuple[Disturbance, ...] = get_args(Disturbance)

MOST_NOISE = 160.0
"""Standard deviation of the noise at strength 1, in grey levels of 255."""
MOST_ROTATION_DEG = 90.0
"""Rotation at strength 1, clockwise."""


def disturb(image: Image, how: Disturbance, strength: float, random: np.random.Generator) -> Image:
    """A digit with noise over it, or turned.

    Args:
        image: uint8 of shape (28, 28).
        how: ``clean`` returns it as it is; ``noisy`` adds Gaussian noise to every pixel; ``rotated`` turns it
            clockwise about its middle.
        strength: 0 for none, 1 for the most: noise of a standard deviation of 160 grey levels, or a quarter turn.
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
    return image.copy()


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
