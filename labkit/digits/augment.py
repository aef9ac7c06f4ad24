"""Varied copies of digits: other slants, sizes, shapes and pens."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from labkit.digits.digit import SIDE, Digits, Image
from labkit.digits.mnist_format import to_mnist_format
from labkit.digits.thinning import centre_lines

ROTATION_DEG = 10.0
SHEAR = 0.4
NARROWEST, WIDEST = 0.8, 1.15
SLIGHT_BEND_PX, BEND_PX = 0.5, 1.5
THINNEST_PX, THICKEST_PX = 1.0, 3.8
ROOM = 0.85
"""How much smaller a copy is drawn before it is fitted to its box, so that nothing leaves the paper."""
FINER = 2
"""Pixels a side of the paper for each pixel of an image."""

Points = npt.NDArray[np.floating]
"""Shape (n, 2): row and column in pixels of the image, from its middle."""


def augment(digits: Digits, copies: int, seed: int = 0) -> Digits:
    """The digits and a number of varied copies of each, in a shuffled order.

    Every copy is rotated by up to 10°, sheared by up to 0.4, made up to 20 % narrower or 15 % wider, bent (an
    elastic distortion by a 3×3 grid), and brought to MNIST's format again. The first copy keeps its pen;
    each further one is drawn anew along the centre of its lines, with a round pen 1 to 3.8 pixels wide.

    Args:
        digits: The originals.
        copies: Copies of each.
        seed: The same seed gives the same copies.

    Returns:
        ``len(digits) * (1 + copies)`` digits.

    Source: for elastic distortions P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural
    networks applied to visual document analysis", ICDAR 2003.
    """
    random = np.random.default_rng(seed)
    images, labels = [digits.images], [digits.labels]
    if copies:
        images.append(np.stack([_with_same_pen(image, random) for image in digits.images]))
        labels.append(digits.labels)
    lines = [_points(thin) for thin in centre_lines(_enlarge(digits.images) > 0.5)] if copies > 1 else []
    for _ in range(copies - 1):
        images.append(np.stack([_with_other_pen(points, random) for points in lines]))
        labels.append(digits.labels)
    together = Digits(np.concatenate(images), np.concatenate(labels), digits.source)
    return together.shuffle(seed)


def _enlarge(images: npt.NDArray[np.uint8]) -> Any:
    gray = images.astype(np.float32) / 255
    return ndimage.zoom(gray, (1, FINER, FINER), order=1, grid_mode=True, mode="nearest")


def _points(lines: npt.NDArray[np.bool_]) -> Points:
    """Where the lines are on the fine paper, as points of the image."""
    return (np.argwhere(lines) + 0.5) / FINER - SIDE / 2


EVERYWHERE = _points(np.ones((FINER * SIDE, FINER * SIDE), np.bool_))


def _with_same_pen(image: Image, random: np.random.Generator) -> Image:
    """Look up each pixel of the copy at a moved place of the original."""
    places = _move(EVERYWHERE / ROOM, random, SLIGHT_BEND_PX) + (SIDE - 1) / 2
    moved = ndimage.map_coordinates(image.astype(np.float32), places.T, order=1)
    return to_mnist_format(moved.reshape(FINER * SIDE, FINER * SIDE))


def _with_other_pen(lines: Points, random: np.random.Generator) -> Image:
    """Move the lines and draw along them: ink is what lies within half a pen's width."""
    moved = _move(lines, random, BEND_PX) * ROOM
    cells = np.floor((moved + SIDE / 2) * FINER).astype(int).clip(0, FINER * SIDE - 1)
    paper = np.ones((FINER * SIDE, FINER * SIDE), np.bool_)
    paper[cells[:, 0], cells[:, 1]] = False
    distance = ndimage.distance_transform_edt(paper)
    pen = np.exp(random.uniform(np.log(THINNEST_PX), np.log(THICKEST_PX)))
    radius = pen / 2 * FINER * ROOM
    return to_mnist_format(np.clip(radius - distance + 0.5, 0.0, 1.0))


def _move(points: Points, random: np.random.Generator, bend_px: float) -> Points:
    """Bend, shear, stretch and rotate about the middle."""
    angle = np.deg2rad(random.uniform(-ROTATION_DEG, ROTATION_DEG))
    shear = random.uniform(-SHEAR, SHEAR)
    width = np.exp(random.uniform(np.log(NARROWEST), np.log(WIDEST)))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    bends = random.normal(0.0, bend_px, (9, 2))
    bent = points + _weights(points) @ bends
    return bent @ (rotation @ np.array([[1.0, 0.0], [-shear, width]])).T


def _weights(points: Points) -> npt.NDArray[np.floating]:
    """How much each node of a 3×3 grid bends each point: parabolas, each 1 at its node and 0 at the others.

    Returns:
        Shape (n, 9). The grid spans the 20×20 pixels that hold the ink.
    """
    t = np.clip(points / 10, -1, 1)
    parabolas = np.stack([t * (t - 1) / 2, 1 - t * t, t * (t + 1) / 2], axis=2)
    return (parabolas[:, 0, :, None] * parabolas[:, 1, None, :]).reshape(-1, 9)
