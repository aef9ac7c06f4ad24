"""What a web page sends is checked here, before anything acts on it."""

import math
from typing import cast

from labkit.errors import LabError

Point = list[float]
Stroke = list[Point]

MAX_ROW_ID = 2**31 - 1
"""Row ids are PostgreSQL integers."""
MAX_POINTS = 20_000
"""Points in one drawing; a patient scribbler reaches some 5,000."""

_RELOAD = "reload the page and try again"


def take_request(value: object) -> dict[str, object]:
    """A request as the page writes it: a JSON object.

    Raises:
        LabError: Anything else.
    """
    if not isinstance(value, dict):
        raise LabError(f"the page sent {_brief(value)} where a request was expected", _RELOAD)
    return cast(dict[str, object], value)


def take_seq(request: dict[str, object]) -> int:
    """The number that tells a request from those before it.

    Raises:
        LabError: Missing or not a number that JavaScript counts exactly.
    """
    return take_whole(request, "seq", 0, 2**53)


def take_whole(request: dict[str, object], key: str, low: int, high: int) -> int:
    """The whole number under a key, between two bounds, both allowed.

    Raises:
        LabError: Missing, not a whole number, or out of bounds.
    """
    value = request.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise LabError(f"{key} must be a whole number from {low} to {high}, not {_brief(value)}", _RELOAD)
    return value


def take_number(request: dict[str, object], key: str, low: float, high: float) -> float:
    """The number under a key, between two bounds, both allowed.

    Raises:
        LabError: Missing, not a finite number, or out of bounds.
    """
    value = _finite(request.get(key))
    if value is None or not low <= value <= high:
        raise LabError(f"{key} must be from {low:g} to {high:g}, not {_brief(request.get(key))}", _RELOAD)
    return value


def take_label(request: dict[str, object]) -> int | None:
    """The label under ``label``: 0 to 9, or None where the page says there is none yet.

    Raises:
        LabError: Missing or not a digit.
    """
    if "label" in request and request["label"] is None:
        return None
    return take_whole(request, "label", 0, 9)


def take_strokes(value: object) -> list[Stroke]:
    """A drawing: a list of strokes, each a list of [x, y] in pad units, 0 to 1.

    Raises:
        LabError: Not of that shape, a point off the pad, or more than `MAX_POINTS` points.
    """
    points_left = MAX_POINTS
    strokes: list[Stroke] = []
    for stroke in _items(value, "a drawing"):
        points = _items(stroke, "a stroke")
        points_left -= len(points)
        if points_left < 0:
            raise LabError(f"the drawing has more than {MAX_POINTS} points", "clear the pad and draw again")
        strokes.append([_take_point(point) for point in points])
    return strokes


def _take_point(value: object) -> Point:
    numbers = [_finite(number) for number in _items(value, "a point")]
    if len(numbers) != 2 or any(number is None or not 0 <= number <= 1 for number in numbers):
        raise LabError(f"a point must be two numbers from 0 to 1, not {_brief(value)}", _RELOAD)
    return cast(Point, numbers)


def _items(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise LabError(f"{what} must be a list, not {_brief(value)}", _RELOAD)
    return cast(list[object], value)


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _brief(value: object) -> str:
    """A value for an error line, cut so that a huge one stays one line."""
    if value is None:
        return "nothing"
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 40 else f"{text[:37]}..."
