"""What a web page sends is checked here, before anything acts on it."""

import math
from typing import cast

from labkit.digits import check_label
from labkit.errors import LabError
from labkit.model.score import MODELS, ModelName

MAX_ROW_ID = 2**31 - 1
"""Row ids are PostgreSQL integers."""

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
    if "label" not in request:
        raise LabError("the page sent no label, not even that there is none", _RELOAD)
    return check_label(request["label"])


def take_model(request: dict[str, object]) -> ModelName:
    """The name under ``model``: frozen or continual.

    Raises:
        LabError: Missing or neither.
    """
    for name in MODELS:
        if request.get("model") == name:
            return name
    raise LabError(f"model must be one of {', '.join(MODELS)}, not {_brief(request.get('model'))}", _RELOAD)


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
