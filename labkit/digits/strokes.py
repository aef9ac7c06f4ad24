"""Strokes of a pen to a digit's image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from labkit.digits.digit import Image
from labkit.digits.mnist_format import to_mnist_format
from labkit.errors import LabError

CANVAS = 280
"""Pixels a side of the picture that is drawn before it is brought to 28×28: ten times as fine."""
MAX_POINTS = 20_000
MIN_WIDTH, MAX_WIDTH = 0.005, 0.5


def render_strokes(strokes: Sequence[Sequence[Sequence[float]]], width: float) -> Image:
    """Draw strokes and bring them to MNIST's format.

    Args:
        strokes: Each a sequence of points (x, y) in units of the pad, 0 to 1, y downwards. A single point is a dot.
        width: The brush's diameter in the same unit.

    Returns:
        uint8 of shape (28, 28).

    Raises:
        LabError: Nothing is drawn, a point is no point of the pad, or there are too many.
    """
    if not _is_number(width) or not MIN_WIDTH <= width <= MAX_WIDTH:
        raise LabError(f"a brush {width!r} wide cannot draw", f"a share of the pad from {MIN_WIDTH} to {MAX_WIDTH}")
    checked = _check_strokes(strokes)
    picture = Pillow.new("L", (CANVAS, CANVAS), 0)
    pen = ImageDraw.Draw(picture)
    thickness = max(1, round(width * CANVAS))
    radius = thickness / 2
    for stroke in checked:
        points = [(x * CANVAS, y * CANVAS) for x, y in stroke]
        pen.line(points, fill=255, width=thickness, joint="curve")
        # Pillow ends its lines flat; a pen's are round.
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return to_mnist_format(np.asarray(picture, np.float32))


def _check_strokes(strokes: Any) -> list[list[tuple[float, float]]]:
    try:
        checked = [[(x, y) for x, y in stroke] for stroke in strokes]
    except (TypeError, ValueError):
        raise LabError("strokes are lists of points (x, y)", "[[(0.5, 0.2), (0.5, 0.8)]] is a vertical line") from None
    points = [point for stroke in checked for point in stroke]
    if not points:
        raise LabError("nothing is drawn", "draw a digit first")
    if len(points) > MAX_POINTS:
        raise LabError(f"{len(points)} points are more than {MAX_POINTS}", "clear the pad and draw again")
    for point in points:
        if not all(_is_number(value) and 0 <= value <= 1 for value in point):
            raise LabError(f"point {point} is not on the pad", "x and y go from 0 to 1")
    return [stroke for stroke in checked if stroke]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
