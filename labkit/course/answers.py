"""Answers taken in: of the right type, or refused in words."""

import math
from decimal import Decimal
from numbers import Integral, Real

from labkit.course.verdict import WrongAnswer


def whole_number(answer: object, what: str) -> int:
    """An answer that must be a whole number, NumPy's included.

    Args:
        answer: What the learner gave.
        what: What it stands for, such as ``a row id``.

    Raises:
        WrongAnswer: It is something else.
    """
    if isinstance(answer, bool) or not isinstance(answer, Integral):
        raise WrongAnswer(f"{what[0].upper()}{what[1:]} is a whole number; this is {_kind(answer)}.")
    return int(answer)


def number(answer: object, what: str) -> float:
    """An answer that must be a finite number, NumPy's and PostgreSQL's ``numeric`` included.

    Args:
        answer: What the learner gave.
        what: What it stands for, such as ``a median in milliseconds``.

    Raises:
        WrongAnswer: It is something else.
    """
    if isinstance(answer, bool) or not isinstance(answer, (Real, Decimal)) or not math.isfinite(answer):
        raise WrongAnswer(f"{what[0].upper()}{what[1:]} is a number; this is {_kind(answer)}.")
    return float(answer)


def _kind(answer: object) -> str:
    if isinstance(answer, float):
        return repr(answer)
    name = type(answer).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
