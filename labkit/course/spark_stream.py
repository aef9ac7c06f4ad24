"""Checks of lesson 9: micro-batches, and where a scorer goes on."""

from collections.abc import Collection

from labkit.course.answers import whole_number
from labkit.course.engine_figures import recorded
from labkit.course.verdict import WrongAnswer, check
from labkit.lab import Lab
from labkit.model.resume import resume_positions


@check
def micro_batches(answer: object, lab: Lab, rows: Collection[int]) -> str:
    """Whether this is in how many micro-batches these rows were predicted.

    Args:
        answer: Their number.
        lab: The running lab.
        rows: Ids of rows that were inserted and not changed since.
    """
    given = whole_number(answer, "a number of micro-batches")
    times = [prediction.read_ms for prediction, _ in recorded(lab) if prediction.row_id in set(rows)]
    batches = len(set(times))
    if given == batches:
        return f"{len(times)} digits in {batches} micro-batches: {len(times) / batches:.1f} in each, on average."
    if given == len(times):
        raise WrongAnswer("Those are the digits. Digits of one micro-batch were read at the same time: read_ms.")
    raise WrongAnswer("It is another number. How many different read_ms have the predictions of these rows?")


@check
def goes_on_at(answer: object, lab: Lab) -> str:
    """Whether this is the offset at which a scorer that starts now would begin.

    Args:
        answer: An offset in the topic of change events.
        lab: The running lab, with one partition.
    """
    given = whole_number(answer, "an offset")
    (position,) = resume_positions(lab.kafka).values()
    if given == position:
        return f"Offset {position}: behind the last event that has a prediction."
    if given == position - 1:
        raise WrongAnswer("That event has its prediction already. The scorer begins behind it.")
    if given == len(recorded(lab)):
        raise WrongAnswer("That counts predictions. Transactions take offsets, too: look at the last one's .offset.")
    raise WrongAnswer("It is another offset. Each prediction tells the offset of its event; take the newest.")
