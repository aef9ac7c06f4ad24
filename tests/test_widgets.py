"""The widgets without a browser: what they take from a page, and what they show of a state."""

import asyncio
import contextlib
import dataclasses
import json
import math
import re
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from traitlets import TraitError

from labkit.digits import render_strokes
from labkit.errors import LabError
from labkit.model.live_state import LiveState, Score
from labkit.widgets import ControlBar, DrawPad, EventFeed, PredictionCard, Scoreboard, Timeline, request_widget
from labkit.widgets.event_view import event_view, format_lsn
from labkit.widgets.scoreboard import MAX_HISTORY
from tests.fakes import LATENCY, LINE, T0, Calls, scored_event


class Pad:
    """A draw pad and what it sent."""

    def __init__(self, error: Exception | None = None, seconds: float = 0) -> None:
        self.sent: list[tuple[Any, int | None]] = []
        self.error, self.seconds = error, seconds
        self.widget = DrawPad(self.send)

    def send(self, pixels: Any, label: int | None) -> str:
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        self.sent.append((pixels, label))
        return f"row {1000 + len(self.sent)} inserted"

    def page_sends(self, **fields: Any) -> None:
        """What the page does when somebody clicks Send."""
        request = {"seq": 1, "strokes": LINE, "width": 0.08, "label": 3} | fields
        self.widget.set_state({"outbox": request})


def row_widgets(calls: Calls) -> list[EventFeed | PredictionCard]:
    return [EventFeed(calls), PredictionCard(calls.relabel, calls.delete)]


def state_of(*events: Any, **fields: Any) -> LiveState:
    """A state with these events, newest first, counted by kind."""
    kinds = Counter((scored.event.table, scored.event.operation) for scored in events)
    return LiveState(events=tuple(events), counts=tuple(kinds.items()), **fields)


# The draw pad


def test_a_stroke_is_previewed_as_the_model_will_see_it():
    pad = DrawPad()
    assert pad.preview == b""
    pad.set_state({"strokes": LINE})
    assert pad.preview == render_strokes(LINE, 0.08).tobytes()
    thin = pad.preview
    pad.set_state({"width": 0.16})
    assert np.frombuffer(pad.preview, np.uint8).sum() > np.frombuffer(thin, np.uint8).sum()
    pad.set_state({"strokes": []})
    assert pad.preview == b""


def test_a_bad_stroke_is_told_and_not_previewed():
    pad = DrawPad()
    pad.set_state({"strokes": [[[0.5, 7.0]]]})
    assert (pad.preview, pad.status_kind) == (b"", "error")
    assert "not on the pad" in pad.status


def test_who_draws_on_is_no_longer_told_why_the_last_drawing_was_refused():
    pad = Pad()
    pad.page_sends(strokes=[])
    assert pad.widget.status_kind == "error"
    pad.widget.set_state({"strokes": LINE})
    assert (pad.widget.status_kind, pad.widget.status) == ("info", "")


def test_send_hands_over_what_was_previewed_and_clears_the_pad():
    pad = Pad()
    pad.widget.set_state({"strokes": LINE, "label": 3})
    preview = pad.widget.preview
    pad.page_sends()
    [(pixels, label)] = pad.sent
    assert (pixels.shape, pixels.dtype, pixels.tobytes(), label) == ((28, 28), np.uint8, preview, 3)
    assert (pad.widget.status_kind, pad.widget.status) == ("ok", "row 1001 inserted")
    assert (pad.widget.strokes, pad.widget.preview, pad.widget.label) == ([], b"", None)


def test_what_was_drawn_while_sending_stays():
    pad = Pad()
    pad.widget.set_state({"strokes": [*LINE, [[0.1, 0.1]]]})
    pad.page_sends(label=None)
    assert pad.sent[0][1] is None
    assert pad.widget.strokes == [[[0.1, 0.1]]]


def test_each_request_is_handled_once():
    pad = Pad()
    for seq in (5, 5, 6, 5, 2, 6):
        pad.page_sends(seq=seq, label=None if seq == 5 else seq)
        pad.widget.set_state({"outbox": None})  # So that the next write is a change again.
    assert [label for _, label in pad.sent] == [None, 6, 2]


@pytest.mark.parametrize(
    "outbox",
    [
        "x",
        [1, 2],
        7,
        {},
        {"seq": "1"},
        {"seq": True},
        {"seq": -1},
        {"seq": 1},
        {"seq": 1, "strokes": LINE, "width": 0.08},
        {"seq": 1, "strokes": LINE, "label": 3},
        {"seq": 1, "strokes": LINE, "width": "wide", "label": 3},
        {"seq": 1, "strokes": LINE, "width": math.nan, "label": 3},
        {"seq": 1, "strokes": LINE, "width": 10**400, "label": 3},
        {"seq": 1, "strokes": LINE, "width": 0.9, "label": 3},
        {"seq": 1, "strokes": LINE, "width": 0.08, "label": 11},
        {"seq": 1, "strokes": LINE, "width": 0.08, "label": -1},
        {"seq": 1, "strokes": LINE, "width": 0.08, "label": "x"},
        {"seq": 1, "strokes": LINE, "width": 0.08, "label": 3.5},
        {"seq": 1, "strokes": LINE, "width": 0.08, "label": True},
        {"seq": 1, "strokes": [], "width": 0.08, "label": 3},
        {"seq": 1, "strokes": None, "width": 0.08, "label": 3},
        {"seq": 1, "strokes": "drawing", "width": 0.08, "label": 3},
        {"seq": 1, "strokes": {"0": LINE}, "width": 0.08, "label": 3},
        {"seq": 1, "strokes": [7], "width": 0.08, "label": 3},
        {"seq": 1, "strokes": [[[0.5]]], "width": 0.08, "label": 3},
        {"seq": 1, "strokes": [[["a", "b"]]], "width": 0.08, "label": 3},
        {"seq": 1, "strokes": [[[math.nan, 0.5]]], "width": 0.08, "label": 3},
        {"seq": 1, "strokes": [[[math.inf, 0.5]]], "width": 0.08, "label": 3},
        {"seq": 1, "strokes": [[[1e9, 0.5]]], "width": 0.08, "label": 3},
        {"seq": 1, "strokes": [[[0.5, 0.5]] * 30_000], "width": 0.08, "label": 3},
    ],
)
def test_an_untrusted_drawing_is_refused_in_words(outbox: Any):
    pad = Pad()
    pad.widget.set_state({"strokes": LINE})
    pad.widget.set_state({"outbox": outbox})
    assert pad.sent == []
    assert pad.widget.status_kind == "error"
    assert "unexpected" not in pad.widget.status and "→" in pad.widget.status
    assert pad.widget.strokes == LINE, "an error loses nothing"


def test_a_status_is_one_line_of_bounded_length():
    pad = Pad()
    pad.page_sends(label="many words\n" * 10_000)
    assert pad.widget.status_kind == "error"
    assert len(pad.widget.status) <= 400 and "\n" not in pad.widget.status


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            LabError("PostgreSQL: connection refused", "labkit up"),
            "PostgreSQL: connection refused → labkit up",
        ),
        (OSError("disk full"), "unexpected OSError: disk full"),
    ],
)
def test_a_failure_to_send_is_told_and_the_drawing_stays(error: Exception, words: str):
    pad = Pad(error)
    pad.widget.set_state({"strokes": LINE, "label": 3})
    pad.page_sends()
    assert (pad.widget.status_kind, pad.widget.status) == ("error", words)
    assert (pad.widget.strokes, pad.widget.label, pad.widget.busy) == (LINE, 3, False)


def test_a_slow_server_keeps_nobody_waiting_and_sends_stay_in_order():
    pad = Pad(seconds=0.2)

    async def click_three_times() -> float:
        started = time.monotonic()
        for seq in (1, 2, 3):
            pad.page_sends(seq=seq, label=seq)
        waited = time.monotonic() - started
        await asyncio.sleep(0.05)
        assert (pad.widget.busy, pad.widget.status) == (True, "sending…")
        while pad.widget.busy or len(pad.sent) < 3:
            await asyncio.sleep(0.01)
        return waited

    assert asyncio.run(asyncio.wait_for(click_three_times(), 10)) < 0.2
    assert [label for _, label in pad.sent] == [1, 2, 3]
    assert (pad.widget.status_kind, pad.widget.status) == ("ok", "row 1003 inserted")


def test_a_pad_that_nothing_is_connected_to_says_so():
    pad = DrawPad()
    pad.set_state({"strokes": LINE, "outbox": {"seq": 1, "strokes": LINE, "width": 0.08, "label": None}})
    assert "nothing is connected" in pad.status
    assert pad.pixels().shape == (28, 28)


# Relabel and delete


def test_rows_are_relabelled_and_deleted():
    for seq, name in enumerate(("relabel", "delete")):
        calls = Calls()
        for widget in row_widgets(calls):
            request = {"seq": seq, "action": name, "table": "mnist_test", "row_id": 12, "label": 7}
            widget.set_state({"outbox": request})
            assert widget.status_kind == "ok" and "row 12" in widget.status
        assert calls.made == [("relabel", 12, 7) if name == "relabel" else ("delete", 12)] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"action": "truncate"},
        {"action": None},
        {"table": "mnist_train"},
        {"table": "pg_class"},
        {"table": ["mnist_test"]},
        {"row_id": "12"},
        {"row_id": 1.5},
        {"row_id": True},
        {"row_id": None},
        {"row_id": -1},
        {"row_id": 2**31},
        {"label": 11},
        {"label": "x"},
        {"label": None},
        {"label": math.nan},
    ],
)
def test_an_untrusted_row_request_is_refused_in_words(change: dict[str, Any]):
    calls = Calls()
    for widget in row_widgets(calls):
        request = {"seq": 1, "action": "relabel", "table": "mnist_test", "row_id": 12, "label": 7}
        widget.set_state({"outbox": request | change})
        assert widget.status_kind == "error" and "unexpected" not in widget.status
    assert calls.made == []


# What is shown


def test_lsn_is_written_as_postgresql_writes_it():
    assert format_lsn(0x16_B374D848) == "16/B374D848"
    assert format_lsn(0x198_7A50) == "0/1987A50"


def test_the_feed_shows_the_newest_events_with_their_images():
    feed = EventFeed()
    feed.show(
        state_of(
            scored_event(5, "u", label=3, predicted=8),
            scored_event(4, "d", label=None, predicted=None),
            scored_event(3, label=None, predicted=2),
            scored_event(2, "r", predicted=None, table="mnist_train"),
        )
    )
    update, delete, unlabelled, train = feed.events
    assert update["operation"] == "update" and update["right"] is False and update["editable"] is True
    assert (update["predicted"], update["probability"], update["label"]) == (8, 0.91, 3)
    assert (update["lsn"], update["committed_ms"], update["delay_ms"]) == ("16/B374D848", T0, 13.2)
    assert (delete["image"], delete["scored"], delete["editable"], delete["tombstone"]) == (None, False, False, True)
    assert unlabelled["right"] is None and unlabelled["predicted"] == 2
    assert (train["operation"], train["editable"], train["scored"]) == ("snapshot", False, False)
    assert len({event["key"] for event in feed.events}) == 4
    assert [event["image"] for event in feed.events] == [0, None, 1, 2]
    assert feed.images == bytes([5]) * 784 + bytes([3]) * 784 + bytes([2]) * 784
    json.dumps(feed.events, allow_nan=False)


def test_the_feed_is_bounded():
    feed = EventFeed()
    feed.show(state_of(*(scored_event(offset) for offset in range(100, 0, -1))))
    assert shown(feed) == list(range(1100, 1070, -1))
    assert len(feed.images) == 30 * 784


def shown(feed: EventFeed) -> list[Any]:
    return [event["row_id"] for event in feed.events]


MIXED = state_of(
    scored_event(4, "d", label=None, predicted=None),
    scored_event(3, "u"),
    scored_event(2),
    scored_event(1, "r", predicted=None, table="mnist_train"),
)


@pytest.mark.parametrize(
    ("chosen", "rows"),
    [
        ({"table": "mnist_train"}, [1001]),
        ({"table": "mnist_test"}, [1004, 1003, 1002]),
        ({"operation": "u"}, [1003]),
        ({"table": "mnist_train", "operation": "u"}, []),
        ({"table": "", "operation": ""}, [1004, 1003, 1002, 1001]),
    ],
)
def test_the_feed_filters_by_table_and_operation(chosen: dict[str, str], rows: list[int]):
    feed = EventFeed()
    feed.show(MIXED)
    feed.set_state(chosen)
    assert shown(feed) == rows
    feed.show(MIXED)
    assert shown(feed) == rows


@pytest.mark.parametrize("chosen", [{"table": "pg_class"}, {"operation": "x"}, {"table": 3}, {"paused": "yes"}])
def test_an_untrusted_filter_changes_nothing(chosen: dict[str, Any]):
    feed = EventFeed()
    feed.show(MIXED)
    with contextlib.suppress(TraitError):
        feed.set_state(chosen)
    assert (feed.table, feed.operation, feed.paused) == ("", "", False)
    assert shown(feed) == [1004, 1003, 1002, 1001]


def test_a_paused_feed_stays_and_counts_what_comes_of_the_chosen():
    feed = EventFeed()
    feed.show(state_of(scored_event(1)))
    feed.set_state({"paused": True})
    feed.show(state_of(scored_event(3), scored_event(2), scored_event(1)))
    assert (shown(feed), feed.waiting) == ([1001], 2)
    feed.set_state({"operation": "d"})
    assert (shown(feed), feed.waiting) == ([], 0)
    feed.set_state({"operation": ""})
    feed.show(state_of(*(scored_event(offset) for offset in range(5, 0, -1))))
    assert feed.waiting == 2
    feed.set_state({"paused": False})
    assert (shown(feed), feed.waiting) == ([1005, 1004, 1003, 1002, 1001], 0)


def test_older_events_are_asked_for_before_those_shown_and_pause_the_feed():
    calls = Calls()
    feed = EventFeed(calls)
    feed.show(state_of(scored_event(9), scored_event(7), scored_event(3, "r", table="mnist_train", predicted=None)))
    calls.older = [scored_event(2), scored_event(1)]
    feed.set_state({"outbox": {"seq": 1, "action": "older"}})
    places = {"mnist_test": {0: 7}, "mnist_train": {0: 3}}
    assert calls.made == [("older", None, None, places, T0 + 6.5, 30)]
    assert (shown(feed), feed.paused, feed.status) == ([1002, 1001], True, "2 older events, read back from Kafka")
    calls.older = []
    feed.set_state({"outbox": {"seq": 2, "action": "older"}})
    assert (shown(feed), feed.status) == ([1002, 1001], "these are the oldest")


def test_an_opened_event_shows_before_after_source_and_record():
    calls = Calls()
    feed = EventFeed(calls)
    update = scored_event(3, "u", label=3)
    update = dataclasses.replace(update, event=dataclasses.replace(update.event, before_label=8))
    feed.show(state_of(update))
    feed.set_state({"outbox": {"seq": 1, "action": "open", "key": "mnist_test/0/3"}})
    assert calls.made == [("record", "mnist_test", 0, 3)]
    assert feed.opened is not None
    assert feed.opened["changes"] == [["label", "8", "3"]]
    assert dict(feed.opened["source"])["LSN"] == "16/B374D848" and dict(feed.opened["source"])["transaction"] == "703"
    record = dict(feed.opened["record"])
    assert (record["topic"], record["key"], record["value"]) == ("lab.public.mnist_test", "1003", "2 bytes")
    assert (record["header __op"], record["header odd"], record["header empty"]) == ("c", "ff 00", "none")
    assert feed.opened["value"] == "01 ff"
    json.dumps(feed.opened, allow_nan=False)


@pytest.mark.parametrize("key", ["mnist_test/0/4", None, ["mnist_test/0/3"], "../etc/passwd"])
def test_only_what_is_shown_can_be_opened(key: Any):
    calls = Calls()
    feed = EventFeed(calls)
    feed.show(state_of(scored_event(3)))
    feed.set_state({"outbox": {"seq": 1, "action": "open", "key": key}})
    assert feed.status_kind == "error" and "not on the screen" in feed.status
    assert calls.made == [] and feed.opened is None


def test_the_card_shows_what_both_models_said():
    card = PredictionCard()
    assert card.prediction is None
    card.show(scored_event(9, label=1, predicted=7))
    assert card.prediction is not None
    assert card.image == bytes([9]) * 784
    assert card.prediction["right"] is False and card.prediction["row_id"] == 1009
    assert card.prediction["probabilities"][7] == 0.91 and len(card.prediction["probabilities"]) == 10
    assert card.prediction["continual"] == 7
    card.show(scored_event(10, predicted=None))
    assert (card.prediction, card.image) == (None, b"")


def test_the_timeline_shows_each_hop_and_the_last_minute():
    timeline = Timeline()
    assert (timeline.digit, timeline.percentiles) == (None, None)
    timeline.show(scored_event(9))
    timeline.show_percentiles(LATENCY)
    assert timeline.digit is not None and timeline.digit["row_id"] == 1009
    assert [ms for _, ms in timeline.digit["hops"]] == [4.0, 2.5, 1.5, 0.5, 5.5]
    assert timeline.percentiles is not None and timeline.percentiles["digits"] == 40
    assert timeline.percentiles["rows"][-1] == ["commit to kernel", 13.2, 20.0, 30.0]
    assert len(timeline.percentiles["rows"]) == 6


def test_the_timeline_tells_a_digit_that_waited_for_a_scorer_from_a_slow_one():
    timeline, quick = Timeline(), scored_event(9)
    assert quick.prediction is not None
    timeline.show(quick)
    assert timeline.digit is not None and timeline.digit["waited"] is False
    late = dataclasses.replace(quick.prediction, read_ms=T0 + 60_000, predicted_ms=T0 + 60_001)
    timeline.show(dataclasses.replace(quick, prediction=late, predicted_seen_ms=T0 + 60_005))
    assert timeline.digit["waited"] is True


def test_the_timeline_of_a_digit_from_before_ends_with_its_prediction():
    timeline = Timeline()
    timeline.show(dataclasses.replace(scored_event(9), predicted_seen_ms=None))
    assert timeline.digit is not None and timeline.percentiles is None
    assert [ms for _, ms in timeline.digit["hops"]] == [4.0, 2.5, 1.5, 0.5]
    timeline._on_message(timeline, {"painted": "mnist_test/0/9"}, [])
    assert len(timeline.digit["hops"]) == 4


def test_the_timeline_ends_when_the_page_has_painted():
    timeline = Timeline()
    fresh = dataclasses.replace(scored_event(9), predicted_seen_ms=time.time() * 1000)
    timeline.show(fresh)
    timeline.show_percentiles(LATENCY)
    for content in (None, "painted", {}, {"painted": "mnist_test/0/8"}, {"painted": ["mnist_test/0/9"]}):
        timeline._on_message(timeline, content, [])
    assert timeline.digit is not None and len(timeline.digit["hops"]) == 5
    timeline._on_message(timeline, {"painted": "mnist_test/0/9"}, [])
    name, ms = timeline.digit["hops"][5]
    assert name == "on screen" and 0 <= ms < 5000
    time.sleep(0.01)
    timeline._on_message(timeline, {"painted": "mnist_test/0/9"}, [])
    assert timeline.digit["hops"][5] == [name, ms], "a second page tells nothing new"
    timeline.show(fresh)
    timeline.show_percentiles(LATENCY)
    assert [row[0] for row in timeline.percentiles["rows"]][-2:] == ["on screen", "commit to kernel"]  # type: ignore[index]


def test_the_scoreboard_shows_both_scores_each_class_and_a_bounded_history():
    board = Scoreboard()
    history = tuple((count, count / 1000) for count in range(1, 1001))
    frozen = Score(1000, 900, 0.9, 0.95, 100, tuple((1,) * 10 for _ in range(10)), 2, history)
    board.show(frozen, Score(1000, 950, 0.95, 0.99, 100))
    score = board.frozen
    assert [score[name] for name in ("counted", "correct", "accuracy", "recent_accuracy")] == [1000, 900, 0.9, 0.95]
    assert (board.continual["correct"], board.continual["recent_accuracy"]) == (950, 0.99)
    assert score["confusion"] == [[1] * 10] * 10
    assert score["published"] == 2
    assert score["classes"][3] == {"label": 3, "support": 10, "precision": 0.1, "recall": 0.1, "f1": 0.1}
    assert len(score["history"]) == MAX_HISTORY and score["history"][-1] == [1000, 1.0]
    board.show(Score(history=history[:3]), Score())
    assert board.frozen["history"] == [[1, 0.001], [2, 0.002], [3, 0.003]]
    json.dumps(board.frozen, allow_nan=False)


def test_a_cell_of_the_confusion_matrix_shows_its_digits():
    calls = Calls()
    board = Scoreboard(calls.digits_of)
    cell = {"action": "cell", "model": "continual", "label": 4, "predicted": 9}
    board.set_state({"outbox": {"seq": 1, **cell}})
    assert board.cell == {"model": "continual", "label": 4, "predicted": 9, "rows": [1002, 1001]}
    assert board.images == bytes([2]) * 784 + bytes([1]) * 784
    assert board.status == "the newest 2 of the 4s that the continual model took for 9"
    wrong_fields = (
        {"label": 10},
        {"predicted": "9"},
        {"label": None},
        {"action": "drop"},
        {"model": "best"},
        {"model": []},
    )
    for seq, wrong in enumerate(wrong_fields, start=2):
        board.set_state({"outbox": {"seq": seq} | cell | wrong})
        assert board.status_kind == "error" and "unexpected" not in board.status
    assert calls.made == [("digits", 4, 9, "continual")]


def test_a_reset_closes_the_cell_and_a_deleted_row_does_not():
    board = Scoreboard(Calls().digits_of)
    history = tuple((count, 0.9) for count in range(1, 50))
    board.show(Score(50, 45, 0.9, 0.9, 50, history=history), Score())
    board.set_state({"outbox": {"seq": 1, "action": "cell", "model": "frozen", "label": 4, "predicted": 9}})
    board.show(Score(49, 44, 0.9, 0.9, 50, history=(*history, (50, 0.9))), Score())
    assert board.cell is not None and board.status
    board.show(Score(3, 3, 1.0, 1.0, 3, history=((1, 1.0),)), Score())
    assert board.cell is None and board.status == ""


def test_a_status_is_forgotten_once_it_could_be_read_and_an_error_is_not(monkeypatch: pytest.MonkeyPatch):
    bar = ControlBar(Calls())
    bar.set_state({"outbox": {"seq": 1, "action": "start-scorer"}})
    bar.show(LiveState(predictions_seen=1))
    assert "TensorFlow takes some seconds" in bar.status
    monkeypatch.setattr(request_widget, "STATUS_KEPT_S", 0.0)
    bar.show(LiveState(predictions_seen=1))
    assert bar.status, "nothing has been predicted since"
    bar.show(LiveState(predictions_seen=2))
    assert bar.status == ""
    bar.set_state({"outbox": {"seq": 2, "action": "start", "rate": 0}})
    bar.show(LiveState(predictions_seen=3))
    assert bar.status_kind == "error" and bar.status


def test_a_row_of_the_snapshot_has_no_way_to_tell():
    timeline = Timeline()
    timeline.show(scored_event(9, "r"))
    assert timeline.digit is not None and (timeline.digit["hops"], timeline.digit["snapshot"]) == ([], True)
    assert event_view(dataclasses.replace(scored_event(9, "r"), seen_ms=None))["delay_ms"] is None
    assert event_view(scored_event(9))["delay_ms"] == 13.2


def test_the_bar_sends_samples_as_wished():
    calls = Calls()
    bar = ControlBar(calls)
    start = {"action": "start", "rate": 20, "how": "rotated", "strength": 0.5}
    bar.set_state({"outbox": {"seq": 1, **start}})
    assert bar.status == "sending 20 a second, rotated by 45°"
    wrong = [{"rate": rate} for rate in (0, 1001, "fast", None, math.nan, True)]
    wrong += [{"how": how} for how in ("blurred", None, ["noisy"])]
    wrong += [{"strength": strength} for strength in (-0.1, 1.1, "much", None, math.nan)]
    for seq, change in enumerate(wrong, start=2):
        bar.set_state({"outbox": {"seq": seq, **start, **change}})
        assert bar.status_kind == "error" and "unexpected" not in bar.status, change
    bar.set_state({"outbox": {"seq": 99, "action": "stop"}})
    assert calls.made == [("start", 20.0, "rotated", 0.5), ("stop",)]


@pytest.mark.parametrize(
    ("how", "told"),
    [("clean", "clean"), ("noisy", "noisy by 25%"), ("thick", "thicker by 25%"), ("hand", "in another hand by 25%")],
)
def test_the_bar_tells_what_is_done_to_the_samples(how: str, told: str):
    calls = Calls()
    bar = ControlBar(calls)
    bar.set_state({"outbox": {"seq": 1, "action": "start", "rate": 20, "how": how, "strength": 0.25}})
    assert bar.status == f"sending 20 a second, {told}"
    assert calls.made == [("start", 20.0, how, 0.25)]


def test_the_bar_starts_and_stops_the_scorer_and_resets_the_scores():
    calls = Calls()
    bar = ControlBar(calls)
    bar.show(LiveState())
    assert bar.scoring
    for seq, action in enumerate(("stop-scorer", "reset", "start-scorer", "format-disk", None), start=1):
        bar.set_state({"outbox": {"seq": seq, "action": action}})
        if action == "stop-scorer":
            bar.show(LiveState())
            assert not bar.scoring
    assert calls.scoring and calls.made == [("reset",)]
    assert bar.status_kind == "error"


def test_the_bar_shows_health():
    calls = Calls()
    bar = ControlBar(calls)
    calls.sending = True
    bar.show(LiveState(events_seen=4, predictions_seen=3, latency=LATENCY, problem="Kafka is away"))
    assert (bar.sending, bar.events_seen, bar.predictions_seen, bar.latency_ms) == (True, 4, 3, 13.2)
    assert bar.problem == "Kafka is away"
    calls.sending_problem = "PostgreSQL is away"
    calls.capture_problem = "the slot is gone"
    bar.show(LiveState())
    assert bar.problem == "PostgreSQL is away"
    calls.sending_problem = ""
    bar.show(LiveState())
    assert bar.problem == "the slot is gone"


@pytest.mark.parametrize("widget", [ControlBar, DrawPad, EventFeed, PredictionCard, Scoreboard, Timeline])
def test_scripts_and_styles_are_whole_and_need_no_network(widget: Any):
    script, style = str(widget._esm), str(widget._css)
    assert script.count("export default { render };") == 1
    assert ".labkit {" in style
    addresses = re.findall(r"https?://[^\s\"']+", script + style)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"^\s*import\b|@import", script + style, re.MULTILINE)
