"""What the dashboard knows: joined in whatever order the topics are read, counted exactly, bounded in size."""

import dataclasses
import itertools
import time

import pytest

from labkit.capture.event import Operation
from labkit.model.latency import CAPACITY, HOPS, LatencyWindow, hop_times
from labkit.model.live_state import ScoredEvent
from labkit.model.live_tally import DIGITS_OF_A_CELL, KEPT_OF_A_KIND, WAITING_KEPT, WAITING_SAMPLED, LiveTally
from labkit.model.row_bytes import EMPTY, PAGE, RowBytes
from tests.fakes import T0, scored_event


def take(tally: LiveTally, scored: ScoredEvent, *, prediction_first: bool = False) -> None:
    assert scored.prediction is not None
    if prediction_first:
        tally.take_prediction(scored.prediction, T0 + 14)
        tally.take_event(scored.event, T0 + 13)
    else:
        tally.take_event(scored.event, T0 + 13)
        tally.take_prediction(scored.prediction, T0 + 14)


@pytest.mark.parametrize("prediction_first", [False, True])
def test_an_event_and_its_prediction_are_joined_whichever_is_read_first(prediction_first: bool) -> None:
    tally = LiveTally(started_ms=0)
    take(tally, scored_event(3, label=7, predicted=1), prediction_first=prediction_first)
    state = tally.state()
    (scored,) = state.events
    assert scored.prediction is not None and (scored.seen_ms, scored.predicted_seen_ms) == (T0 + 13, T0 + 14)
    assert state.latest == scored
    assert (state.score.counted, state.score.correct) == (1, 0)
    assert tally.rows_of(7, 1) == [1003]


def test_a_rare_kind_is_kept_after_any_number_of_others() -> None:
    tally = LiveTally(0)
    tally.take_event(scored_event(1, "d", label=None, predicted=None).event, T0)
    for offset in range(2, 3002):
        take(tally, scored_event(offset))
    state = tally.state()
    assert len(state.events) == KEPT_OF_A_KIND + 1
    assert [scored.event.offset for scored in state.events] == [*range(3001, 3001 - KEPT_OF_A_KIND, -1), 1]
    assert dict(state.counts) == {("mnist_test", "d"): 1, ("mnist_test", "c"): 3000}
    assert (state.events_seen, state.predictions_seen) == (3001, 3000)


def test_what_was_recorded_before_took_no_time_to_this_screen() -> None:
    tally = LiveTally(started_ms=scored_event(2).event.recorded_ms)
    tally.take_event(scored_event(2).event, T0 + 90_000)
    later = dataclasses.replace(scored_event(3).event, recorded_ms=scored_event(2).event.recorded_ms + 1)
    tally.take_event(later, T0 + 90_000)
    tally.take_event(dataclasses.replace(later, offset=4, operation="r"), T0 + 90_000)
    assert {scored.event.offset: scored.seen_ms for scored in tally.state().events} == {
        2: None,
        3: T0 + 90_000,
        4: None,
    }


def test_older_events_of_a_deleted_row_know_that_it_is_gone() -> None:
    tally = LiveTally(0)
    first = scored_event(1).event
    tally.take_event(first, T0)
    tally.take_event(scored_event(2).event, T0)
    tally.take_event(dataclasses.replace(first, offset=3, operation="d", pixels=None, label=None), T0)
    assert {scored.event.offset: scored.deleted for scored in tally.state().events} == {1: True, 2: False, 3: True}


def test_events_for_training_are_counted_apart() -> None:
    tally = LiveTally(0)
    tally.take_event(scored_event(1, "r", table="mnist_train").event, T0)
    assert tally.state().events_seen == 0
    assert dict(tally.state().counts) == {("mnist_train", "r"): 1}


def test_predictions_whose_events_never_come_do_not_pile_up() -> None:
    tally = LiveTally(0)
    many = 3 * (WAITING_KEPT + WAITING_SAMPLED)
    for offset in range(many):
        prediction = scored_event(offset).prediction
        assert prediction is not None
        tally.take_prediction(prediction, T0)
    assert WAITING_KEPT < len(tally._early) <= WAITING_KEPT + WAITING_SAMPLED
    assert tally.state().predictions_seen == many


def test_a_cell_shows_the_digits_that_count_in_it_now() -> None:
    tally = LiveTally(0)
    for offset in range(1, DIGITS_OF_A_CELL + 4):
        take(tally, scored_event(offset, label=4, predicted=9))
    rows = tally.rows_of(4, 9)
    assert rows == [1000 + offset for offset in range(DIGITS_OF_A_CELL + 3, 3, -1)]

    newest = scored_event(DIGITS_OF_A_CELL + 3, "u", label=9, predicted=9)
    offset = DIGITS_OF_A_CELL + 4  # Relabelled: an event of its own of the same row.
    assert newest.prediction is not None
    event = dataclasses.replace(newest.event, offset=offset)
    take(tally, ScoredEvent(event, dataclasses.replace(newest.prediction, offset=offset), T0))
    assert tally.rows_of(4, 9) == [*rows[1:], rows[-1] - 1], "an older one moves up"
    assert tally.rows_of(9, 9) == rows[:1]
    assert tally.rows_of(0, 0) == []


def test_a_cell_knows_its_digits_though_their_events_have_scrolled_away() -> None:
    tally = LiveTally(0)  # A new screen may read all events before the first prediction.
    past = [scored_event(offset, label=4, predicted=9 if offset == 1 else 4) for offset in range(1, 3 * KEPT_OF_A_KIND)]
    for scored in past:
        tally.take_event(scored.event, T0)
    for scored in past:
        assert scored.prediction is not None
        tally.take_prediction(scored.prediction, T0)
    assert tally.rows_of(4, 9) == [1001]
    assert tally.rows_of(4, 4, "continual")[0] == 1000 + len(past)


def test_a_reset_begins_the_scores_anew_and_keeps_the_counts() -> None:
    tally = LiveTally(0)
    take(tally, scored_event(1, label=7, predicted=1))
    tally.reset()
    take(tally, scored_event(2))
    state = tally.state()
    assert (state.score.counted, state.score.accuracy, state.continual.counted) == (1, 1.0, 1)
    assert (state.events_seen, state.predictions_seen) == (2, 2)
    assert tally.rows_of(7, 1) == []


@pytest.mark.parametrize("lag", [1, KEPT_OF_A_KIND + 20, WAITING_KEPT])
def test_the_newest_prediction_moves_however_far_the_scorer_is_behind(lag: int) -> None:
    tally = LiveTally(0)
    for offset in range(2 * WAITING_KEPT):
        tally.take_event(scored_event(offset).event, T0)
        answered = scored_event(offset - lag + 1).prediction
        if offset >= lag - 1 and answered is not None:
            tally.take_prediction(answered, T0)
            latest = tally.state().latest if offset % 997 == 0 else None
            assert latest is None or latest.prediction == answered
    latest = tally.state().latest
    assert latest is not None and latest.event.offset == 2 * WAITING_KEPT - lag
    assert len(tally._unscored) == lag - 1 and len(tally._early) == 0


def test_the_newest_prediction_still_moves_when_the_scorer_is_a_minute_behind() -> None:
    tally, lag, many = LiveTally(0), 60_000, 70_000
    shown = set()
    for offset in range(many):
        tally.take_event(scored_event(offset).event, T0)
        answered = scored_event(offset - lag).prediction
        if offset >= lag and answered is not None:
            tally.take_prediction(answered, T0)
            latest = tally._latest
            assert latest is None or answered.offset - latest.event.offset < 64, "it is one of the newest"
            shown.add(latest)
    assert len(shown) > 100, "some are shown of every second"


def test_a_topic_that_was_made_anew_is_not_taken_for_the_one_before() -> None:
    tally = LiveTally(0)
    old = [scored_event(offset) for offset in range(10)]
    for scored in old:
        take(tally, scored)
    new = [dataclasses.replace(scored_event(offset).event, row_id=5000 + offset, lsn=10**9) for offset in range(60)]
    for event in new:
        tally.take_event(event, T0)
    state = tally.state()
    assert {one.event.row_id for one in state.events if one.prediction is not None} <= {s.event.row_id for s in old}
    assert state.latest is not None and state.latest.event.row_id == old[-1].event.row_id


def test_events_are_in_the_order_of_kafka_whichever_topic_is_read_first() -> None:
    tally = LiveTally(0)
    newer = [scored_event(offset) for offset in range(50)]
    older = [scored_event(offset, "r", table="mnist_train") for offset in range(5000)]
    for number, scored in enumerate([*newer, *older]):
        recorded_ms = T0 + 10_000 + number if number < len(newer) else T0
        tally.take_event(dataclasses.replace(scored.event, recorded_ms=recorded_ms), T0)
    events = tally.state().events
    assert [one.event.offset for one in events[:KEPT_OF_A_KIND]] == list(range(49, 49 - KEPT_OF_A_KIND, -1))
    assert {one.event.table for one in events[KEPT_OF_A_KIND:]} == {"mnist_train"}


@pytest.mark.parametrize("event_first", [True, False])
def test_a_deleted_row_is_told_on_the_card(event_first: bool) -> None:
    tally = LiveTally(0)
    scored, gone = scored_event(3), scored_event(3, "d", label=None)
    assert scored.prediction is not None and gone.prediction is not None
    delete = dataclasses.replace(gone.event, offset=4)
    answer = dataclasses.replace(gone.prediction, offset=4, predicted=None, continual=None)
    tally.take_event(scored.event, T0)
    if event_first:
        tally.take_event(delete, T0)
        tally.take_prediction(scored.prediction, T0)
    else:
        tally.take_prediction(scored.prediction, T0)
        latest = tally.state().latest
        assert latest is not None and not latest.deleted
        tally.take_event(delete, T0)
    tally.take_prediction(answer, T0)
    latest = tally.state().latest
    assert latest is not None and latest.deleted and latest.event == scored.event


@pytest.mark.parametrize(
    ("operation", "predicted_before_start_ms", "digits"),
    [("c", -1, 1), ("c", 1, None), ("r", -1, None)],
    ids=["a live one", "predicted before the start", "a row of the snapshot"],
)
def test_only_live_digits_say_something_of_latency(
    operation: Operation, predicted_before_start_ms: float, digits: int | None
) -> None:
    prediction = scored_event(1, operation).prediction
    assert prediction is not None
    tally = LiveTally(started_ms=prediction.predicted_ms + predicted_before_start_ms)
    tally.take_prediction(prediction, time.time() * 1000)
    latency = tally.state().latency
    assert (latency.digits if latency else None) == digits


# Latency


def test_hops_add_up_to_the_whole_way() -> None:
    prediction = scored_event(1).prediction
    assert prediction is not None
    assert hop_times(prediction, T0 + 14) == (4.0, 2.5, 1.5, 0.5, 5.5)


def test_percentiles_are_of_the_last_minute_only() -> None:
    prediction = scored_event(1).prediction
    assert prediction is not None
    window = LatencyWindow()
    assert window.percentiles(T0) is None
    window.add(prediction, T0 + 9)
    for milliseconds in range(100):
        window.add(prediction, T0 + 70_000 + milliseconds)
    latency = window.percentiles(T0 + 70_100)
    assert latency is not None and latency.digits == 100
    assert set(latency.hops) == {*HOPS, "total"}
    assert latency.median_ms == pytest.approx(70_000 + 49.5)
    assert latency.hops["captured"] == (4.0, 4.0, 4.0)
    assert window.percentiles(T0 + 200_000) is None


def test_a_full_window_forgets_its_oldest() -> None:
    prediction = scored_event(1).prediction
    assert prediction is not None
    window = LatencyWindow()
    for number in range(CAPACITY + 10):
        window.add(prediction, T0 + number * 0.001)
    latency = window.percentiles(T0 + 100)
    assert latency is not None and latency.digits == CAPACITY


# One byte a row


def test_rows_keep_their_numbers_and_gaps_cost_little() -> None:
    rows = RowBytes()
    wanted: dict[tuple[str, int], int] = {}
    for number, (table, row_id) in enumerate(itertools.product(("a", "b"), (0, 1, PAGE - 1, PAGE, 2**31 - 1))):
        rows.set(table, row_id, number)
        wanted[table, row_id] = number
    assert {key: rows.get(*key) for key in wanted} == wanted
    assert rows.get("a", 2) is None and rows.get("c", 0) is None
    rows.discard("a", 1)
    rows.discard("a", 5 * PAGE)
    assert rows.get("a", 1) is None and rows.get("b", 1) == wanted["b", 1]
    assert sum(map(len, rows._pages.values())) == 6 * PAGE


@pytest.mark.parametrize("value", [-1, EMPTY, 256])
def test_a_number_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="not from 0 to 254"):
        RowBytes().set("a", 1, value)


OPERATIONS: tuple[Operation, ...] = ("c", "u")


def test_unscored_events_show_up_at_once() -> None:
    tally = LiveTally(0)
    for offset, operation in enumerate(OPERATIONS, start=1):
        tally.take_event(scored_event(offset, operation, predicted=None).event, T0)
    state = tally.state("Kafka is slow")
    assert [scored.prediction for scored in state.events] == [None, None]
    assert (state.latest, state.problem) == (None, "Kafka is slow")
