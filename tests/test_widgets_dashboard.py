"""The dashboard without a browser: it follows the state, tells what is wrong, and leaves a picture behind."""

import asyncio
import base64
import dataclasses
import io
import re
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from labkit.errors import LabError
from labkit.model.live_state import LiveState, Score
from labkit.widgets import Dashboard
from labkit.widgets.still import still_html
from tests.fakes import LATENCY, LINE, Calls, scored_event

EVENTS = tuple(scored_event(offset) for offset in range(40, 0, -1))
STATE = LiveState(
    events=EVENTS,
    latest=EVENTS[0],
    score=Score(40, 40, 1.0, 1.0, 100, history=((1, 1.0), (40, 1.0))),
    events_seen=40,
    predictions_seen=40,
    latency=LATENCY,
)


class Source:
    """A state to poll, or an error."""

    def __init__(self) -> None:
        self.state = LiveState()
        self.error: Exception | None = None
        self.polls = 0

    def poll(self) -> LiveState:
        self.polls += 1
        if self.error:
            raise self.error
        return self.state

    def wait(self, known: LiveState, timeout_s: float) -> None:
        """By asking: what a real one waits for, is put in here by the test."""
        deadline = time.monotonic() + timeout_s
        while self.state.predictions_seen <= known.predictions_seen and time.monotonic() < deadline:
            time.sleep(0.002)


def count_changes(dashboard: Dashboard) -> list[str]:
    """A list that grows by a name with every trait that changes in a part of the dashboard."""
    changed: list[str] = []
    parts = (dashboard.pad, dashboard.prediction, dashboard.scoreboard, dashboard.timeline, dashboard.feed)
    for part in (dashboard.bar, *parts):
        part.observe(lambda change: changed.append(change["name"]))
    return changed


def test_refresh_shows_the_state_and_only_what_changed():
    source = Source()
    dashboard = Dashboard(Calls(), source.poll, source.wait)
    source.state = STATE
    dashboard.refresh()
    assert len(dashboard.feed.events) == 30
    assert dashboard.prediction.prediction is not None and dashboard.prediction.prediction["row_id"] == 1040
    assert dashboard.scoreboard.frozen["counted"] == 40
    assert (dashboard.bar.events_seen, dashboard.bar.latency_ms) == (40, 13.2)

    changed = count_changes(dashboard)
    dashboard.refresh()
    source.state = dataclasses.replace(STATE)  # Equal, but another object.
    dashboard.refresh()
    assert changed == []
    source.state = dataclasses.replace(STATE, events_seen=41)
    dashboard.refresh()
    assert changed == ["events_seen"]


def test_clicks_reach_the_actions():
    calls, source = Calls(), Source()
    dashboard = Dashboard(calls, source.poll, source.wait)
    dashboard.pad.set_state({"outbox": {"seq": 1, "strokes": LINE, "width": 0.08, "label": 4}})
    assert dashboard.pad.status == "row 1001 inserted"
    row = {"table": "mnist_test", "row_id": 1001, "label": 5}
    dashboard.feed.set_state({"outbox": {"seq": 1, "action": "relabel", **row}})
    dashboard.prediction.set_state({"outbox": {"seq": 1, "action": "delete", **row}})
    dashboard.bar.set_state({"outbox": {"seq": 1, "action": "start", "rate": 5, "how": "clean", "strength": 0}})
    dashboard.refresh()
    assert dashboard.bar.sending
    dashboard.bar.set_state({"outbox": {"seq": 3, "action": "stop"}})
    dashboard.scoreboard.set_state(
        {"outbox": {"seq": 1, "action": "cell", "model": "frozen", "label": 1, "predicted": 7}}
    )
    assert calls.made == [
        ("insert", 4),
        ("relabel", 1001, 5),
        ("delete", 1001),
        ("start", 5.0, "clean", 0.0),
        ("stop",),
        ("digits", 1, 7, "frozen"),
    ]


def test_the_card_says_while_no_scorer_runs():
    calls, source = Calls(), Source()
    dashboard = Dashboard(calls, source.poll, source.wait)
    for running in (False, True):
        calls.scoring = running
        dashboard.refresh()
        assert dashboard.prediction.scoring is running


def test_a_failing_poll_is_told_and_forgotten_once_it_works_again():
    source = Source()
    dashboard = Dashboard(Calls(), source.poll, source.wait)
    source.error = LabError("Kafka does not answer", "labkit status")
    dashboard.refresh()
    assert dashboard.bar.problem.endswith("Kafka does not answer → labkit status")
    source.error = ValueError("odd")
    dashboard.refresh()
    assert dashboard.bar.problem.endswith("unexpected ValueError: odd")
    source.error, source.state = None, STATE
    dashboard.refresh()
    assert dashboard.bar.problem == "" and dashboard.bar.events_seen == 40


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def test_the_loop_follows_at_a_bounded_rate_survives_errors_and_ends():
    source = Source()

    async def live() -> None:
        dashboard = Dashboard(Calls(), source.poll, source.wait, frames_per_second=20)
        source.state = STATE
        await until(lambda: dashboard.bar.events_seen == 40)
        source.error = OSError("gone")
        await until(lambda: "gone" in dashboard.bar.problem)
        source.error = None
        await until(lambda: dashboard.bar.problem == "")
        before = source.polls
        await asyncio.sleep(0.5)
        assert source.polls - before <= 11
        dashboard.close()
        before = source.polls
        await asyncio.sleep(0.2)
        assert source.polls == before

    asyncio.run(asyncio.wait_for(live(), 20))


def predicted(count: int) -> LiveState:
    """The state after so many predictions."""
    newest = scored_event(count)
    return dataclasses.replace(STATE, predictions_seen=count, latest=newest, events=(newest,))


def test_a_prediction_is_shown_at_once_and_the_tables_a_frame_later():
    source = Source()

    async def live() -> None:
        # A frame takes two seconds: what comes within one of them was not waiting for the next.
        dashboard = Dashboard(Calls(), source.poll, source.wait, frames_per_second=0.5)
        await until(lambda: source.polls == 1)
        began = time.monotonic()
        source.state = predicted(1)
        await until(lambda: dashboard.prediction.prediction is not None)
        assert time.monotonic() - began < 1
        assert dashboard.feed.events == []
        source.state = predicted(2)
        await until(lambda: dashboard.bar.predictions_seen == 2)
        assert 1.5 < time.monotonic() - began < 3
        await until(lambda: dashboard.feed.events != [])
        dashboard.close()

    asyncio.run(asyncio.wait_for(live(), 20))


def test_in_a_fast_stream_the_tables_follow():
    source = Source()

    async def live() -> None:
        dashboard = Dashboard(Calls(), source.poll, source.wait, frames_per_second=30)
        drawn: list[object] = []
        dashboard.feed.observe(lambda change: drawn.append(change["new"]), names="events")
        count = 0
        while len(drawn) < 5:
            count += 1
            source.state = predicted(count)
            await asyncio.sleep(0.005)
        dashboard.close()

    asyncio.run(asyncio.wait_for(live(), 20))


@pytest.mark.parametrize("rate", [0, -1, 1000, float("nan")])
def test_an_impossible_frame_rate_is_refused(rate: float):
    with pytest.raises(LabError, match="frames_per_second"):
        Dashboard(Calls(), LiveState, Source().wait, frames_per_second=rate)


# The still


def pictures(html: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def test_the_still_has_the_digits_the_plot_and_the_numbers():
    source = Source()
    dashboard = Dashboard(Calls(), source.poll, source.wait)
    assert "0 events" in dashboard.still() and pictures(dashboard.still()) == []
    source.state = STATE
    dashboard.refresh()
    html = dashboard.still()
    newest, plot, *thumbnails = pictures(html)
    assert newest.size == (112, 112) and plot.size == (360, 132) and len(thumbnails) == 8
    assert np.asarray(newest).min() == np.asarray(newest).max() == 40, "the newest row's own pixels"
    assert [int(np.asarray(image)[0, 0]) for image in thumbnails] == list(range(40, 32, -1))
    for words in ("100.0%", "40 right of 40", "row 1040", "16/B374D848", "13 ms", "✓ right"):
        assert words in html
    assert len(html) < 60_000


def test_the_still_escapes_what_it_shows():
    html = still_html(LiveState(events=(scored_event(table="<script>x"),), problem="<b>&"))
    assert "<script>" not in html and "&lt;b&gt;&amp;" in html


def test_the_still_tells_a_delete_and_a_wrong_prediction():
    wrong = scored_event(2, label=1, predicted=7)
    gone = scored_event(3, "d", label=None, predicted=None)
    html = still_html(LiveState(events=(gone, wrong), latest=wrong))
    assert "delete" in html and "wrong, it is a 1" in html
