"""The widgets without a browser: what they take from a page, and what they show of a state."""

import asyncio
import json
import math
import re
import time
from typing import Any

import numpy as np
import pytest

from labkit.capture.event import ChangeEvent, Operation
from labkit.digits import render_strokes
from labkit.errors import LabError
from labkit.model.live_state import LiveState, Score, ScoredEvent
from labkit.model.prediction import Prediction
from labkit.widgets import ControlBar, DrawPad, EventFeed, PredictionCard, Scoreboard
from labkit.widgets.event_view import format_lsn
from labkit.widgets.scoreboard import MAX_HISTORY

LINE = [[[0.5, 0.1], [0.5, 0.9]]]
T0 = 1_700_000_000_000.0
"""Some moment, milliseconds since the epoch."""


def scored_event(
    offset: int = 1,
    operation: Operation = "c",
    label: int | None = 7,
    predicted: int | None = 7,
    table: str = "mnist_test",
) -> ScoredEvent:
    """An event of row 1000 + offset and, unless predicted is None, its prediction."""
    pixels = None if operation == "d" else bytes([offset % 256]) * 784
    event = ChangeEvent(
        table=table,
        row_id=1000 + offset,
        operation=operation,
        label=label,
        pixels=pixels,
        lsn=(22 << 32) + 0xB374D848,
        transaction=700 + offset,
        committed_ms=T0,
        captured_ms=T0 + 4,
        recorded_ms=T0 + 6.5,
        topic=f"lab.public.{table}",
        partition=0,
        offset=offset,
    )
    prediction = None
    if predicted is not None:
        prediction = Prediction(
            table=table,
            row_id=event.row_id,
            operation=operation,
            label=label,
            predicted=predicted,
            probabilities=tuple(0.91 if digit == predicted else 0.01 for digit in range(10)),
            model_version="v3",
            lsn=event.lsn,
            partition=0,
            offset=offset,
            committed_ms=event.committed_ms,
            captured_ms=event.captured_ms,
            recorded_ms=event.recorded_ms,
            read_ms=T0 + 8,
            predicted_ms=T0 + 8.5,
        )
    return ScoredEvent(event, prediction, seen_ms=T0 + 13.25)


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


def row_widgets(calls: list[tuple[Any, ...]]) -> list[EventFeed | PredictionCard]:
    def on_relabel(row_id: int, label: int) -> None:
        calls.append(("relabel", row_id, label))

    def on_delete(row_id: int) -> None:
        calls.append(("delete", row_id))

    return [EventFeed(on_relabel, on_delete), PredictionCard(on_relabel, on_delete)]


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
        calls: list[tuple[Any, ...]] = []
        for widget in row_widgets(calls):
            request = {"seq": seq, "action": name, "table": "mnist_test", "row_id": 12, "label": 7}
            widget.set_state({"outbox": request})
            assert widget.status_kind == "ok" and "row 12" in widget.status
        assert calls == [("relabel", 12, 7) if name == "relabel" else ("delete", 12)] * 2


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
    calls: list[tuple[Any, ...]] = []
    for widget in row_widgets(calls):
        request = {"seq": 1, "action": "relabel", "table": "mnist_test", "row_id": 12, "label": 7}
        widget.set_state({"outbox": request | change})
        assert widget.status_kind == "error" and "unexpected" not in widget.status
    assert calls == []


# What is shown


def test_lsn_is_written_as_postgresql_writes_it():
    assert format_lsn(0x16_B374D848) == "16/B374D848"
    assert format_lsn(0x198_7A50) == "0/1987A50"


def test_the_feed_shows_the_newest_events_with_their_images():
    feed = EventFeed()
    feed.show(
        [
            scored_event(5, "u", label=3, predicted=8),
            scored_event(4, "d", label=None, predicted=None),
            scored_event(3, label=None, predicted=2),
            scored_event(2, "r", predicted=None, table="mnist_train"),
        ]
    )
    update, delete, unlabelled, train = feed.events
    assert update["operation"] == "update" and update["right"] is False and update["editable"] is True
    assert (update["predicted"], update["probability"], update["label"]) == (8, 0.91, 3)
    assert (update["lsn"], update["committed_ms"], update["delay_ms"]) == ("16/B374D848", T0, 13.2)
    assert (delete["image"], delete["scored"], delete["editable"]) == (None, False, False)
    assert unlabelled["right"] is None and unlabelled["predicted"] == 2
    assert (train["operation"], train["editable"], train["scored"]) == ("snapshot", False, False)
    assert len({event["key"] for event in feed.events}) == 4
    assert [event["image"] for event in feed.events] == [0, None, 1, 2]
    assert feed.images == bytes([5]) * 784 + bytes([3]) * 784 + bytes([2]) * 784
    json.dumps(feed.events, allow_nan=False)


def test_the_feed_is_bounded():
    feed = EventFeed()
    feed.show([scored_event(offset) for offset in range(100, 0, -1)])
    assert [event["row_id"] for event in feed.events] == list(range(1100, 1070, -1))
    assert len(feed.images) == 30 * 784


def test_the_card_shows_where_the_milliseconds_went():
    card = PredictionCard()
    assert card.prediction is None
    card.show(scored_event(9, label=1, predicted=7))
    assert card.prediction is not None
    assert card.image == bytes([9]) * 784
    assert card.prediction["right"] is False and card.prediction["row_id"] == 1009
    assert card.prediction["probabilities"][7] == 0.91 and len(card.prediction["probabilities"]) == 10
    assert [ms for _, ms in card.prediction["hops"]] == [4.0, 2.5, 1.5, 0.5]
    assert card.prediction["total_ms"] == 8.5
    card.show(scored_event(10, predicted=None))
    assert (card.prediction, card.image) == (None, b"")


def test_the_scoreboard_shows_the_score_and_a_bounded_history():
    board = Scoreboard()
    history = tuple((count, count / 1000) for count in range(1, 1001))
    board.show(Score(1000, 900, 0.9, 0.95, 100, tuple((1,) * 10 for _ in range(10)), history))
    score = board.score
    assert (score["counted"], score["correct"], score["accuracy"], score["recent_accuracy"]) == (
        1000,
        900,
        0.9,
        0.95,
    )
    assert score["confusion"] == [[1] * 10] * 10
    assert len(score["history"]) == MAX_HISTORY and score["history"][-1] == [1000, 1.0]
    board.show(Score(history=history[:3]))
    assert board.score["history"] == [[1, 0.001], [2, 0.002], [3, 0.003]]


def test_the_bar_starts_and_stops_and_shows_health():
    calls: list[float | str] = []
    bar = ControlBar(calls.append, lambda: calls.append("stop"))
    bar.set_state({"outbox": {"seq": 1, "action": "start", "rate": 20}})
    assert bar.status == "sending 20 a second"
    for seq, rate in enumerate((0, 201, "fast", None, math.nan, True), start=2):
        bar.set_state({"outbox": {"seq": seq, "action": "start", "rate": rate}})
        assert bar.status_kind == "error"
    bar.set_state({"outbox": {"seq": 99, "action": "stop"}})
    assert calls == [20.0, "stop"]
    bar.show(LiveState(events_seen=4, predictions_seen=3, latency_ms=13.26, problem="Kafka is away"), sending=True)
    assert (bar.sending, bar.events_seen, bar.predictions_seen, bar.latency_ms) == (True, 4, 3, 13.3)
    assert bar.problem == "Kafka is away"


@pytest.mark.parametrize("widget", [ControlBar, DrawPad, EventFeed, PredictionCard, Scoreboard])
def test_scripts_and_styles_are_whole_and_need_no_network(widget: Any):
    script, style = str(widget._esm), str(widget._css)
    assert script.count("export default { render };") == 1
    assert ".labkit {" in style
    addresses = re.findall(r"https?://[^\s\"']+", script + style)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"^\s*import\b|@import", script + style, re.MULTILINE)
