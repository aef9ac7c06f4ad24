"""Checks of lesson 6: drawing, being wrong, correcting, and a model that goes on learning."""

from typing import Literal

from labkit.course.answers import number, whole_number
from labkit.course.row_history import ARRIVAL_S, events_of, existing_row, predictions_of
from labkit.course.verdict import WrongAnswer, check
from labkit.lab import Lab
from labkit.model.live_state import Score
from labkit.model.prediction_records import read_predictions
from labkit.model.score import ProgressiveScore, class_scores
from labkit.settings import TEST_TABLE

TOLERANCE_POINTS = 0.5


@check
def labelled_late(answer: object, lab: Lab) -> str:
    """Whether a row was inserted without a label, predicted, and labelled afterwards.

    Args:
        answer: The row's id.
        lab: The running lab.
    """
    row_id = existing_row(answer, lab)
    first, *later = events_of(row_id, lab)
    if first.label is not None:
        raise WrongAnswer(f"Row {row_id} came with a label, {first.label}. Send one without: choose 'none yet'.")
    told = [event.label for event in later if event.label is not None]
    if not told:
        raise WrongAnswer(f"Row {row_id} has no label yet. Say what it is, on its card or with lab.relabel.")
    said = predictions_of({row_id}, lab)[0].predicted
    verdict = "and so it was" if said == told[-1] else f"and it was a {told[-1]}"
    return f"The model said {said} before anyone had told what row {row_id} is, {verdict}: a fair test."


@check
def misread(answer: object, lab: Lab) -> str:
    """Whether the model is wrong about a row, as its label stands now.

    Args:
        answer: The row's id.
        lab: The running lab.
    """
    row_id = existing_row(answer, lab)
    labels = lab.tables.labels(TEST_TABLE)
    if row_id not in labels:
        raise WrongAnswer(f"Row {row_id} has been deleted. Choose one that is still in the table.")
    label, said = labels[row_id], predictions_of({row_id}, lab)[-1].predicted
    if label is None:
        raise WrongAnswer(f"Nobody has said what row {row_id} is, so nobody knows whether the model is right.")
    if label == said:
        raise WrongAnswer(f"Row {row_id} is a {label}, and the model says so, too. Look off the matrix's diagonal.")
    return f"Row {row_id} is a {label}, and the model says {said}."


@check
def accuracy_gap(answer: object, lab: Lab) -> str:
    """Whether this is how far the continual model is ahead of the frozen one since the scores were last reset.

    Args:
        answer: Percentage points; where they are not above 0, it is asked for more digits.
        lab: The running lab.
    """
    given = number(answer, "a difference in percentage points")
    frozen, continual = _score("frozen", lab), _score("continual", lab)
    if frozen.accuracy is None or continual.accuracy is None:
        raise WrongAnswer("Nothing has been counted since the scores were reset. Send labelled digits first.")
    gap = 100 * (continual.accuracy - frozen.accuracy)
    if abs(given - gap) <= TOLERANCE_POINTS and gap <= 0:
        raise WrongAnswer(
            f"Not yet: {continual.accuracy:.1%} against {frozen.accuracy:.1%}, so it is not above. It has had too few "
            "digits to learn from: send more, then run this again."
        )
    if abs(given - gap) <= TOLERANCE_POINTS:
        return f"{continual.accuracy:.1%} against {frozen.accuracy:.1%}: a gap of {gap:.1f} percentage points."
    if abs(100 * given - gap) <= TOLERANCE_POINTS:
        raise WrongAnswer("That is a share. Percentage points are a hundred times as much.")
    if abs(given + gap) <= TOLERANCE_POINTS:
        raise WrongAnswer("The size is right, the sign is not: how far is the continual model ahead?")
    raise WrongAnswer("It is another figure. Take both accuracies since the reset, and the difference of the two.")


@check
def weakest_digit(answer: object, lab: Lab) -> str:
    """Whether no digit has a lower recall with the frozen model since the scores were last reset.

    Args:
        answer: The digit, 0 to 9.
        lab: The running lab.
    """
    digit = whole_number(answer, "a digit")
    recalls = {one.label: one.recall for one in class_scores(_score("frozen", lab).confusion) if one.recall is not None}
    if digit not in recalls:
        raise WrongAnswer(f"No {digit} has been counted since the scores were reset.")
    lower = [label for label, recall in recalls.items() if recall < recalls[digit]]
    if lower:
        raise WrongAnswer(
            f"Of the {digit}s the model found {recalls[digit]:.0%}. There is a digit of which it found fewer: "
            "compare the recalls, not the counts."
        )
    return f"Of the {digit}s the model found {recalls[digit]:.0%}, of no digit fewer."


def _score(model: Literal["frozen", "continual"], lab: Lab) -> Score:
    lab.ledger(wait_s=ARRIVAL_S)
    score = ProgressiveScore(model)
    for prediction in read_predictions(lab.kafka, since_reset=True)[0]:
        score.update(prediction)
    return score.result()
