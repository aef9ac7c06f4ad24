"""Checks of lesson 1: the way of one digit."""

import statistics
from collections.abc import Collection

from labkit.course.answers import number, whole_number
from labkit.course.row_history import events_of, existing_row, predictions_of
from labkit.course.verdict import WrongAnswer, check
from labkit.errors import LabError
from labkit.lab import Lab

TOLERANCE_MS, TOLERANCE = 1.0, 0.05
"""A median may be taken in more ways than one: within a millisecond or a twentieth is right."""


@check
def corrected(answer: object, lab: Lab) -> str:
    """Whether a row was inserted with one label and has been given another for good.

    Args:
        answer: The row's id.
        lab: The running lab.
    """
    row_id = existing_row(answer, lab)
    labels = [(event.operation, event.label) for event in events_of(row_id, lab)]
    first, *later = labels
    if first[0] == "r":
        raise WrongAnswer(f"Row {row_id} was there before: it came with the snapshot, as an r. Insert one of your own.")
    if not later:
        raise WrongAnswer(f"Row {row_id} has one change event, its insert, and none after it. Relabel it.")
    if first[1] is None:
        raise WrongAnswer(f"Row {row_id} was inserted without a label: it has none that could be corrected.")
    last = next((label for operation, label in reversed(later) if operation == "u" and label is not None), first[1])
    if last == first[1]:
        raise WrongAnswer(f"Row {row_id} has the label it came with, {first[1]}. Insert it with a wrong one.")
    return f"Row {row_id} came as {first[1]} and is {last} now: a c and a u, in Kafka without any query."


@check
def change_events(answer: object, lab: Lab, row_id: int) -> str:
    """Whether this is how many change events a row has.

    Args:
        answer: Their number.
        lab: The running lab.
        row_id: The row.
    """
    counted = whole_number(answer, "a number of change events")
    operations = [event.operation for event in events_of(row_id, lab)]
    if counted == len(operations):
        return (
            f"Row {row_id} has the change events {', '.join(operations)}: every commit left one, whatever came later."
        )
    direction = "more" if counted < len(operations) else "fewer"
    raise WrongAnswer(
        f"Row {row_id} has {direction} change events than {counted}. "
        "The insert is one, each update is one, and so is a delete."
    )


@check
def median_delay_ms(answer: object, lab: Lab, rows: Collection[int]) -> str:
    """Whether this is the median time from commit to prediction of some rows' inserts.

    Args:
        answer: Milliseconds.
        lab: The running lab.
        rows: The rows' ids.
    """
    given = number(answer, "a median in milliseconds")
    delays = [p.predicted_ms - p.committed_ms for p in predictions_of(set(rows), lab) if p.operation == "c"]
    if not delays:
        raise LabError("none of these rows was inserted while the connector ran", "run the lesson's cells in order")
    right = statistics.median(delays)
    if abs(given - right) <= max(TOLERANCE_MS, TOLERANCE * right):
        return f"Half of these digits were predicted within {right:.1f} ms of their commit."
    if abs(given * 1000 - right) <= max(TOLERANCE_MS, TOLERANCE * right):
        raise WrongAnswer("Milliseconds, not seconds: the times of a prediction are in milliseconds.")
    if 0 < given < 1 <= right:
        raise WrongAnswer("That looks like seconds, and it is another figure, too: answer in milliseconds.")
    raise WrongAnswer(
        "It is another figure. Of each prediction whose operation is c, take predicted_ms minus committed_ms; "
        "of those, the median."
    )
