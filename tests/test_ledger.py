"""The balance of rows, events and predictions: each kind of fault shows in its own place."""

from dataclasses import replace
from typing import Any

import pytest

from labkit.capture.event import ChangeEvent, Operation
from labkit.ledger import Ledger, balance
from labkit.model.prediction import Prediction

LABELS: dict[int, int | None] = {1: 3, 2: 8, 3: None}
FAULTS = (
    "rows_without_event",
    "rows_out_of_date",
    "rows_gone_without_event",
    "rows_captured_twice",
    "events_repeated",
    "events_out_of_order",
    "events_without_prediction",
    "events_predicted_twice",
)


def change(row_id: int, operation: Operation, label: int | None, offset: int) -> ChangeEvent:
    """A change event in partition 0; its LSN grows with its offset."""
    return ChangeEvent(
        table="mnist_test",
        row_id=row_id,
        operation=operation,
        label=label,
        pixels=None if operation == "d" else bytes(784),
        lsn=1000 + offset,
        transaction=7,
        committed_ms=0,
        captured_ms=0,
        recorded_ms=0,
        topic="lab.public.mnist_test",
        partition=0,
        offset=offset,
    )


def predicted(event: ChangeEvent, digit: int = 3) -> Prediction:
    """What a scorer records that always says the same digit."""
    return Prediction(
        table=event.table,
        row_id=event.row_id,
        operation=event.operation,
        label=event.label,
        predicted=None if event.operation == "d" else digit,
        probabilities=(),
        model_version="v1",
        lsn=event.lsn,
        partition=event.partition,
        offset=event.offset,
        committed_ms=0,
        captured_ms=0,
        recorded_ms=0,
        read_ms=0,
        predicted_ms=0,
    )


# Row 1 came by the snapshot, row 2 was relabelled from 3 to 8, row 3 has no label, row 4 was deleted.
EVENTS = [
    change(1, "r", 3, 0),
    change(2, "c", 3, 1),
    change(3, "c", None, 2),
    change(4, "c", 3, 3),
    change(2, "u", 8, 4),
    change(4, "d", None, 5),
]
PREDICTIONS = [predicted(event) for event in EVENTS]


def faults(ledger: Ledger) -> dict[str, list[int] | list[str]]:
    """The kinds of fault that the ledger found."""
    found = ledger.as_dict()
    return {name: found[name] for name in FAULTS if found[name]}


def test_whole_account_is_balanced() -> None:
    ledger = balance(LABELS, EVENTS, PREDICTIONS)
    assert faults(ledger) == {}
    assert (ledger.rows, ledger.events, ledger.predictions) == (3, 6, 6)
    assert (ledger.lost, ledger.duplicated, ledger.score_agrees, ledger.balanced) == (0, 0, True, True)
    assert (ledger.counted, ledger.accuracy) == (2, 0.5)


def test_empty_account_is_balanced_without_an_accuracy() -> None:
    ledger = balance({}, [], [])
    assert ledger.balanced and ledger.accuracy is None and ledger.rows == 0


def test_an_account_that_balances_needs_no_advice() -> None:
    assert balance(LABELS, EVENTS, PREDICTIONS).advice == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"rows_without_event": [5]}, ["--wait 30", "labkit mend"]),
        ({"rows_out_of_date": [2]}, ["--wait 30", "labkit mend"]),
        ({"rows_gone_without_event": [4]}, ["--wait 30", "labkit mend"]),
        ({"events_without_prediction": ["0@3"]}, ["--wait 30", "labkit logs scorer"]),
        ({"rows_captured_twice": [1]}, ["counts each row once"]),
        ({"events_repeated": ["row 2, u, LSN 0/3EC"]}, ["counts each row once"]),
        ({"events_predicted_twice": ["0@3"]}, ["counts each row once"]),
        ({"score_agrees": False}, ["labkit down"]),
        ({"rows_without_event": [5], "score_agrees": False}, ["--wait 30", "labkit mend"]),
    ],
)
def test_each_fault_has_its_advice(fault: dict[str, Any], says: list[str]) -> None:
    advice = replace(balance(LABELS, EVENTS, PREDICTIONS), **fault).advice
    assert len(advice) == len(says)
    assert all(words in line for words, line in zip(says, advice, strict=True)), advice


def test_iterators_are_read_once() -> None:
    assert balance(LABELS, iter(EVENTS), iter(PREDICTIONS)) == balance(LABELS, EVENTS, PREDICTIONS)


def test_lost_insert() -> None:
    ledger = balance(LABELS | {5: 1}, EVENTS, PREDICTIONS)
    assert faults(ledger) == {"rows_without_event": [5]}
    assert (ledger.lost, ledger.duplicated, ledger.balanced) == (1, 0, False)


def test_lost_insert_shows_although_a_later_relabel_arrived() -> None:
    events = [event for event in EVENTS if event.offset != 1]
    ledger = balance(LABELS, events, [predicted(event) for event in events])
    assert faults(ledger) == {"rows_without_event": [2]}


def test_lost_relabel_leaves_the_event_out_of_date_and_the_score_wrong() -> None:
    events = [event for event in EVENTS if event.operation != "u"]
    ledger = balance(LABELS, events, [predicted(event) for event in events])
    assert faults(ledger) == {"rows_out_of_date": [2]}
    assert (ledger.lost, ledger.score_agrees, ledger.balanced) == (1, False, False)


def test_row_still_there_although_its_newest_event_deletes_it() -> None:
    ledger = balance(LABELS | {4: None}, EVENTS, PREDICTIONS)
    assert faults(ledger) == {"rows_out_of_date": [4]}


def test_lost_delete() -> None:
    events = [event for event in EVENTS if event.operation != "d"]
    ledger = balance(LABELS, events, [predicted(event) for event in events])
    assert faults(ledger) == {"rows_gone_without_event": [4]}
    assert (ledger.lost, ledger.duplicated, ledger.balanced) == (1, 0, False)


def test_row_captured_by_snapshot_and_by_stream() -> None:
    again = change(1, "c", 3, 6)
    ledger = balance(LABELS, [*EVENTS, again], [*PREDICTIONS, predicted(again)])
    assert faults(ledger) == {"rows_captured_twice": [1]}
    assert (ledger.lost, ledger.duplicated, ledger.balanced) == (0, 1, False)


def test_change_that_stands_twice_in_kafka() -> None:
    again = replace(EVENTS[4], offset=6)
    ledger = balance(LABELS, [*EVENTS, again], [*PREDICTIONS, predicted(again)])
    assert faults(ledger) == {"events_repeated": ["row 2, u, LSN 0/3EC"]}
    assert (ledger.lost, ledger.duplicated, ledger.balanced) == (0, 1, False)


def test_two_relabels_of_one_row_are_no_repetition() -> None:
    again = change(2, "u", 8, 6)
    assert balance(LABELS, [*EVENTS, again], [*PREDICTIONS, predicted(again)]).balanced


@pytest.mark.parametrize("offset", range(len(EVENTS)))
def test_event_without_a_prediction(offset: int) -> None:
    kept = [prediction for prediction in PREDICTIONS if prediction.offset != offset]
    ledger = balance(LABELS, EVENTS, kept)
    assert faults(ledger) == {"events_without_prediction": [f"0@{offset}"]}
    assert (ledger.lost, ledger.duplicated, ledger.balanced) == (1, 0, False)


def test_same_offset_in_another_partition_is_another_event() -> None:
    elsewhere = [replace(prediction, partition=1) for prediction in PREDICTIONS]
    assert len(balance(LABELS, EVENTS, elsewhere).events_without_prediction) == len(EVENTS)


def test_event_predicted_twice() -> None:
    ledger = balance(LABELS, EVENTS, [*PREDICTIONS, PREDICTIONS[2]])
    assert faults(ledger) == {"events_predicted_twice": ["0@2"]}
    assert (ledger.lost, ledger.duplicated, ledger.balanced) == (0, 1, False)


def test_all_faults_at_once_are_added_up() -> None:
    events = [*EVENTS[:4], EVENTS[0]]
    ledger = balance({1: 3, 2: 8, 5: 0}, events, [PREDICTIONS[1], PREDICTIONS[1]])
    assert faults(ledger) == {
        "rows_without_event": [5],
        "rows_out_of_date": [2],
        "rows_gone_without_event": [3, 4],
        "rows_captured_twice": [1],
        "events_repeated": ["row 1, r, LSN 0/3E8"],
        "events_without_prediction": ["0@0", "0@2", "0@3"],
        "events_predicted_twice": ["0@1"],
    }
    assert (ledger.lost, ledger.duplicated, ledger.balanced) == (7, 3, False)


def test_an_event_recorded_after_a_later_change_of_its_row_is_out_of_order() -> None:
    late = replace(change(2, "u", 8, 4), lsn=900)  # Its insert has LSN 1001.
    ledger = balance(LABELS, [*EVENTS[:4], late, EVENTS[5]], [*PREDICTIONS[:4], predicted(late), PREDICTIONS[5]])
    assert ledger.events_out_of_order == ["0@4"] and not ledger.balanced
    assert (ledger.lost, ledger.duplicated) == (0, 0)
    assert [line for line in ledger.advice if "another order" in line]
    (fault,) = ledger.faults
    assert (fault.kind, fault.row_id, fault.operation, fault.lsn) == ("event out of order", 2, "u", "0/384")


def test_what_comes_again_and_other_rows_are_in_no_wrong_order() -> None:
    again = [replace(event, offset=6 + number) for number, event in enumerate(EVENTS[1:3])]
    assert balance(LABELS, [*EVENTS, *again], PREDICTIONS).events_out_of_order == []
    during_snapshot = [replace(EVENTS[0], lsn=2000), change(1, "u", 3, 6)]
    assert balance({1: 3}, during_snapshot, []).events_out_of_order == []
    other = replace(EVENTS[2], lsn=1)
    assert balance(LABELS, [*EVENTS[:2], other, *EVENTS[3:]], PREDICTIONS).events_out_of_order == []


def test_each_fault_is_told_with_all_that_is_known_of_it() -> None:
    labels = LABELS | {5: 1}  # Committed, and never captured.
    again = replace(EVENTS[4], offset=6)
    ledger = balance(labels, [*EVENTS, again], [*PREDICTIONS[:5], PREDICTIONS[0]]).with_transactions({5: 4711, 2: 9})
    told = [(f.kind, f.row_id, f.operation, f.lsn, f.transaction, f.place) for f in ledger.faults]
    assert told == [
        ("row without event", 5, None, None, 4711, None),
        ("event repeated", 2, "u", "0/3EC", 7, "0@6"),
        ("event without prediction", 4, "d", "0/3ED", 7, "0@5"),
        ("event without prediction", 2, "u", "0/3EC", 7, "0@6"),
        ("event predicted twice", 1, "r", "0/3E8", 7, "0@0"),
    ]
    assert all(fault.explanation for fault in ledger.faults)


def test_foreign_records_are_told_and_do_not_unbalance() -> None:
    ledger = balance(LABELS, EVENTS, PREDICTIONS, foreign=2)
    assert ledger.foreign_records == 2 and ledger.balanced


def test_json_form_has_fields_and_sums() -> None:
    found = balance(LABELS | {5: 1}, EVENTS, PREDICTIONS).as_dict()
    assert {"rows", "events", "score_agrees", *FAULTS} <= found.keys()
    assert (found["lost"], found["duplicated"], found["balanced"]) == (1, 0, False)


def test_predictions_of_a_topic_that_was_there_before_answer_no_event_of_the_new_one() -> None:
    old = [change(row, "c", 3, offset) for offset, row in enumerate((1, 2, 3))]
    new = [replace(change(4, "c", 3, 0), lsn=2000), replace(change(5, "c", 3, 1), lsn=2001)]
    answered = [*map(predicted, old), predicted(new[0])]
    ledger = balance({4: 3, 5: 3}, new, answered)
    assert (ledger.events_without_prediction, ledger.events_predicted_twice) == (["0@1"], [])


def test_ids_of_which_there_is_neither_row_nor_event_are_named() -> None:
    assert balance(LABELS, EVENTS, PREDICTIONS, highest_id=4).ids_never_seen == []
    assert balance(LABELS, EVENTS, PREDICTIONS, highest_id=9).ids_never_seen == ["5–9"]
    assert balance({3: 1, 7: 2}, [], [], highest_id=8).ids_never_seen == ["1–2", "4–6", "8"]
    # Ids that somebody chose by hand are beyond what was drawn.
    assert balance({1: 1, 70: 2}, [], [], highest_id=2).ids_never_seen == ["2"]
    assert balance({}, [], []).ids_never_seen == []
