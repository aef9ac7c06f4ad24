"""Lesson 1: each check refuses a plausible wrong answer in a helpful word, and accepts another right one."""

import statistics

import numpy as np
import pytest

from labkit import Lab
from labkit.course import first_digit as check
from labkit.digits import render_strokes
from labkit.model.prediction_records import read_predictions

ONE = render_strokes([[(0.5, 0.2), (0.5, 0.8)]], width=0.08)


@pytest.mark.parametrize("answer", ["3", 3.0, True, [3], np.array([1, 2])])
def test_a_row_id_is_a_whole_number(scoring_lab: Lab, answer: object) -> None:
    verdict = check.corrected(answer, scoring_lab)
    assert verdict.kind == "wrong" and "A row id is a whole number" in verdict.words


def test_a_corrected_row(scoring_lab: Lab) -> None:
    lab = scoring_lab
    missing = check.corrected(10**9, lab)
    assert missing.kind == "wrong" and "no row 1000000000" in missing.words

    row_id = lab.insert(ONE, 7)
    untouched = check.corrected(row_id, lab)
    assert untouched.kind == "wrong" and "Relabel it" in untouched.words
    lab.relabel(row_id, 7)
    same = check.corrected(row_id, lab)
    assert same.kind == "wrong" and "has the label it came with, 7" in same.words
    lab.relabel(row_id, 1)
    assert check.corrected(np.int64(row_id), lab).right, "NumPy's numbers are numbers"
    lab.relabel(row_id, 7)
    back = check.corrected(row_id, lab)
    assert back.kind == "wrong" and "has the label it came with, 7" in back.words
    lab.relabel(row_id, 1)
    lab.delete(row_id)
    assert check.corrected(row_id, lab).right, "corrected, and deleted afterwards"

    loaded = min(lab.tables.labels("mnist_test"))
    snapshot = check.corrected(loaded, lab)
    assert snapshot.kind == "wrong" and "came with the snapshot" in snapshot.words

    unlabelled = lab.insert(ONE, None)
    lab.relabel(unlabelled, 1)
    verdict = check.corrected(unlabelled, lab)
    assert verdict.kind == "wrong" and "inserted without a label" in verdict.words


def test_change_events_are_counted_in_kafka(scoring_lab: Lab) -> None:
    lab = scoring_lab
    row_id = lab.insert(ONE, 7)
    lab.relabel(row_id, 1)
    lab.delete(row_id)
    too_few = check.change_events(2, lab, row_id)
    assert too_few.kind == "wrong" and "more change events than 2" in too_few.words
    too_many = check.change_events(4, lab, row_id)
    assert too_many.kind == "wrong" and "fewer change events than 4" in too_many.words
    predictions = [p for p in read_predictions(lab.kafka)[0] if p.row_id == row_id]
    assert check.change_events(len(predictions), lab, row_id).right, "every event is predicted: counted there, too"


def test_a_median_delay_in_milliseconds(scoring_lab: Lab) -> None:
    lab = scoring_lab
    rows = [lab.insert(ONE, 1) for _ in range(5)]
    lab.settle()
    delays = [p.predicted_ms - p.committed_ms for p in read_predictions(lab.kafka)[0] if p.row_id in rows]
    median = statistics.median(delays)
    in_seconds = check.median_delay_ms(median / 1000, lab, rows)
    assert in_seconds.kind == "wrong" and "Milliseconds, not seconds" in in_seconds.words
    rounded = check.median_delay_ms(median / 1500, lab, rows)
    assert rounded.kind == "wrong" and "looks like seconds" in rounded.words
    first_hop = check.median_delay_ms(median * 2 + 10, lab, rows)
    assert first_hop.kind == "wrong" and "predicted_ms minus committed_ms" in first_hop.words
    for nothing in (float("nan"), "12 ms", None):
        assert not check.median_delay_ms(nothing, lab, rows).right
    assert check.median_delay_ms(np.percentile(delays, 50), lab, set(rows)).right
    loaded = check.median_delay_ms(median, lab, [min(lab.tables.labels("mnist_test"))])
    assert loaded.kind == "unchecked" and "while the connector ran" in loaded.words, "it came by the snapshot"
