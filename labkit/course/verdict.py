"""What a check says of an answer, and how a check is written."""

import functools
import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec

import psycopg
from kafka.errors import KafkaError

from labkit.errors import LabError

Rest = ParamSpec("Rest")

NOT_ANSWERED = "Not answered yet. Replace the three dots above, then run the cell again."
NOTHING = "The answer is None: what you asked has found nothing, or gives nothing back. Print it, step by step."
SIGNS = {"right": "✓", "wrong": "✗", "open": "○", "unchecked": "!"}


class WrongAnswer(Exception):  # noqa: N818 - no error of the program
    """The answer is not right; the message helps to find out why, and does not give it away."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a check, as a notebook shows it.

    Attributes:
        kind: ``right``, ``wrong``, ``open`` (not answered yet) or ``unchecked`` (the live system could not be asked).
        words: One or two sentences for the learner.
    """

    kind: str
    words: str

    @property
    def right(self) -> bool:
        """Whether the answer was right."""
        return self.kind == "right"

    def __repr__(self) -> str:
        return f"{SIGNS[self.kind]} {self.words}"

    def _repr_html_(self) -> str:
        colour = {"right": "#1b6e3c", "wrong": "#b3261e"}.get(self.kind, "#767676")
        return (
            f'<div role="status" style="border-left: 4px solid {colour}; padding: 0.3em 0.8em">'
            f"<b>{SIGNS[self.kind]}</b> {html.escape(self.words)}</div>"
        )


def check(
    function: Callable[Concatenate[object, Rest], str],
) -> Callable[Concatenate[object, Rest], Verdict]:
    """Make a check of a function that takes an answer and says why it is right.

    The function raises `WrongAnswer` where it is not. Three dots count as not answered, and so does None. Where the
    live system cannot be asked, the verdict says so: that is no fault of the answer.
    """

    @functools.wraps(function)
    def checked(answer: object, *args: Rest.args, **kwargs: Rest.kwargs) -> Verdict:
        if answer is ... or answer is None:
            return Verdict("open", NOTHING if answer is None else NOT_ANSWERED)
        try:
            return Verdict("right", function(answer, *args, **kwargs))
        except WrongAnswer as wrong:
            return Verdict("wrong", str(wrong))
        except psycopg.Error as error:
            reason = f"PostgreSQL: {str(error).strip()} → run the lesson's cells in order"
            return Verdict("unchecked", f"This could not be checked. {reason}")
        except KafkaError as error:
            return Verdict("unchecked", f"This could not be checked. Kafka: {error} → labkit status")
        except LabError as error:
            return Verdict("unchecked", f"This could not be checked: {error}")

    return checked
