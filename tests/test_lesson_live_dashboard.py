"""Lesson 6: each check refuses a plausible wrong answer in a helpful word, and accepts another right one."""

import numpy as np

from labkit import Lab
from labkit.course import live_dashboard as check
from labkit.digits import render_strokes
from labkit.model.prediction_records import read_predictions
from tests.accounts import score_since_reset

SEVEN = render_strokes([[(0.25, 0.2), (0.75, 0.2), (0.6, 0.5), (0.45, 0.85)]], width=0.08)


def _said_of(row_id: int, lab: Lab) -> int:
    lab.settle()
    (said,) = {p.predicted for p in read_predictions(lab.kafka)[0] if p.row_id == row_id}
    assert said is not None
    return said


def test_a_row_that_was_labelled_late(scoring_lab: Lab) -> None:
    lab = scoring_lab
    at_once = check.labelled_late(lab.insert(SEVEN, 7), lab)
    assert at_once.kind == "wrong" and "came with a label, 7" in at_once.words
    row_id = lab.insert(SEVEN, None)
    not_yet = check.labelled_late(row_id, lab)
    assert not_yet.kind == "wrong" and "no label yet" in not_yet.words
    lab.relabel(row_id, (_said_of(row_id, lab) + 1) % 10)
    verdict = check.labelled_late(row_id, lab)
    assert verdict.right and "and it was a" in verdict.words, "right though the model was wrong"
    assert check.labelled_late("the seven", lab).kind == "wrong"


def test_a_row_about_which_the_model_is_wrong(scoring_lab: Lab) -> None:
    lab = scoring_lab
    row_id = lab.insert(SEVEN, None)
    unknown = check.misread(row_id, lab)
    assert unknown.kind == "wrong" and "Nobody has said" in unknown.words
    said = _said_of(row_id, lab)
    lab.relabel(row_id, said)
    hit = check.misread(row_id, lab)
    assert hit.kind == "wrong" and "the model says so, too" in hit.words
    lab.relabel(row_id, (said + 1) % 10)
    assert check.misread(row_id, lab).right, "a label may be what makes it a mistake"
    lab.delete(row_id)
    gone = check.misread(row_id, lab)
    assert gone.kind == "wrong" and "deleted" in gone.words


def test_the_gap_and_the_weakest_digit_since_the_reset(scoring_lab: Lab) -> None:
    lab = scoring_lab
    lab.reset_scores()
    nothing = check.accuracy_gap(1.0, lab)
    assert nothing.kind == "wrong" and "Nothing has been counted" in nothing.words
    empty = check.weakest_digit(3, lab)
    assert empty.kind == "wrong" and "No 3 has been counted" in empty.words

    lab.sender.send(120, 200, how="rotated", strength=0.9)
    lab.settle()
    # Where the models differ, the continual one is called right: how far it is ahead must not hang on chance.
    for answer in read_predictions(lab.kafka, since_reset=True)[0]:
        if answer.continual is not None and answer.continual != answer.predicted:
            lab.relabel(answer.row_id, answer.continual)
    lab.settle()
    answers, _ = read_predictions(lab.kafka, since_reset=True)
    # A row counts with its last label; of the model that learns from it, what it said first.
    first = {answer.row_id: answer for answer in reversed(answers)}
    last = {answer.row_id: answer for answer in answers}
    frozen = np.mean([answer.predicted == answer.label for answer in last.values()])
    continual = np.mean([first[row_id].continual == answer.label for row_id, answer in last.items()])
    gap = 100 * float(continual - frozen)
    assert gap > 2, "the models differ, or this test would show nothing"
    assert check.accuracy_gap(gap, lab).right, "the same figure, counted from the topic"
    assert "share" in check.accuracy_gap(gap / 100, lab).words
    assert "sign" in check.accuracy_gap(-gap, lab).words
    assert check.accuracy_gap(gap + 10, lab).kind == "wrong"
    assert check.accuracy_gap("a lot", lab).kind == "wrong"

    # The other way round, as after too few digits: now the frozen model is right wherever the models differ.
    for row_id, answer in first.items():
        if answer.continual is not None and answer.continual != answer.predicted:
            lab.relabel(row_id, answer.predicted)
    lab.settle()
    labels = {answer.row_id: answer.label for answer in read_predictions(lab.kafka, since_reset=True)[0]}
    right = [
        (first[row_id].continual == label) - int(last[row_id].predicted == label) for row_id, label in labels.items()
    ]
    behind = check.accuracy_gap(100 * float(np.mean(right)), lab)
    assert behind.kind == "wrong" and "Not yet" in behind.words and "send more" in behind.words
    assert "Take both" in check.accuracy_gap(100 * float(np.mean(right)) - 10, lab).words

    confusion = np.array(score_since_reset(lab).confusion)
    # Relabelled as above, a digit may be in no row.
    with np.errstate(invalid="ignore"):
        recalls = confusion.diagonal() / confusion.sum(axis=1)
    assert check.weakest_digit(np.nanargmin(recalls), lab).right
    best = check.weakest_digit(int(np.nanargmax(recalls)), lab)
    assert best.kind == "wrong" and "fewer" in best.words
    assert "whole number" in check.weakest_digit(3.5, lab).words
