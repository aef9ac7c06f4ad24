"""The dashboard: pad, prediction, score, timeline and feed on one screen, moved by the newest state of the stream."""

import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labkit.errors import LabError
from labkit.model.live_state import LiveState
from labkit.widgets.actions import DashboardActions
from labkit.widgets.control_bar import ControlBar
from labkit.widgets.draw_pad import DrawPad
from labkit.widgets.event_feed import EventFeed
from labkit.widgets.page import Layout, Picture
from labkit.widgets.prediction_card import PredictionCard
from labkit.widgets.scoreboard import Scoreboard
from labkit.widgets.still import still_html
from labkit.widgets.telling import telling
from labkit.widgets.timeline import Timeline

DETAILS_EVERY_S = 0.2
"""The tables follow no faster: nobody reads one that changes oftener, and drawing one takes longest. So a prediction
goes before them, in a frame of its own where there is time for one."""
STILL_EVERY_S = 2.0
"""The picture for saved notebooks follows the stream no faster than this: nobody watches it."""


class Dashboard:
    """All widgets together, refreshed in a thread, so that they go on moving while a cell runs elsewhere.

    The picture for saved notebooks is an output, which only the kernel's event loop may write: it follows while no cell
    runs. In a plain script, and in a notebook run by papermill (whose cells follow each other without a pause), call
    `refresh` by hand.

    Args:
        actions: What clicks do to the stream.
        poll: Returns the newest state; called at the frame rate, from any thread, so cheap.
        wait: Returns as soon as there are more predictions than in a state, and after so many seconds in any case.
        frames_per_second: How many predictions are shown in a second at most, 0.1 to 30; the first after a pause is
            shown at once. While nothing changes, nothing is sent.

    Attributes:
        bar, pad, prediction, scoreboard, timeline, feed: The parts, each a widget of its own.

    Raises:
        LabError: The frame rate is out of its range.
    """

    def __init__(
        self,
        actions: DashboardActions,
        poll: Callable[[], LiveState],
        wait: Callable[[LiveState, float], None],
        frames_per_second: float = 15.0,
    ) -> None:
        if not 0.1 <= frames_per_second <= 30:
            raise LabError(f"frames_per_second is {frames_per_second}", "choose from 0.1 to 30; 15 looks smooth")
        self._actions = actions
        self._poll = poll
        self._wait = wait
        self._pause_s = 1 / frames_per_second
        self._state = LiveState()
        self._detailed = LiveState()
        self._details_due = 0.0
        self._still_state: LiveState | None = None
        self._picture = Picture()
        self._pulling = threading.Lock()
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None

        self.bar = ControlBar(actions)
        self.pad = DrawPad(self._insert)
        self.prediction = PredictionCard(actions.relabel, actions.delete)
        self.scoreboard = Scoreboard(actions.digits_of)
        self.timeline = Timeline()
        self.feed = EventFeed(actions)
        self._parts = (self.pad, self.prediction, self.scoreboard, self.timeline, self.feed)
        self._layout = Layout(self.bar, self._parts)
        self._start_loop()

    def refresh(self) -> None:
        """Pull the state once and show it, the picture for saved notebooks included."""
        self._pull(details=True)
        self._update_still()

    def still(self) -> str:
        """The state last shown, as HTML that needs no kernel, no script and no style."""
        return still_html(self._state)

    def close(self) -> None:
        """Stop refreshing and take the widgets off the page; the picture of the last state stays."""
        self._stop.set()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._update_still()
        with self._pulling:
            self._layout.close()
            for widget in (self.bar, *self._parts):
                widget.close()

    def _ipython_display_(self) -> None:
        self._start_loop()
        self._layout.show("Live dashboard: run this cell to see it move.")
        # A second output, as updating the first would draw the widgets anew. The widgets' style hides it.
        self._still_state = self._state
        self._picture.show(self.still())

    def _start_loop(self) -> None:
        if self._task is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._task = loop.create_task(self._keep_still())
        self._stop = threading.Event()
        threading.Thread(target=self._follow, args=(self._stop,), name="labkit-dashboard", daemon=True).start()

    def _follow(self, stop: threading.Event) -> None:
        while not stop.is_set():
            began, shown = time.monotonic(), self._state.latest
            self._pull()
            if self._state.latest != shown:  # However long this pull took, the next comes a frame after it began.
                stop.wait(max(0.0, began + self._pause_s - time.monotonic()))
            self._wait(self._state, self._pause_s)

    async def _keep_still(self) -> None:
        while True:
            self._update_still()
            await asyncio.sleep(STILL_EVERY_S)

    def _pull(self, *, details: bool = False) -> None:
        """Fetch the newest state and show what has changed. Never raises: the thread has to live on.

        Args:
            details: Show feed and scoreboard, too, though they are not due yet.
        """
        with self._pulling, telling(self._tell_problem):
            if self._stop.is_set():
                return  # Closed while this waited for its turn.
            new, old = self._poll(), self._state
            if new.latest != old.latest:
                self.prediction.show(new.latest)
                self.timeline.show(new.latest)
            self.bar.show(new)
            self.prediction.show_scoring(self._actions.scoring)
            late_s = time.monotonic() - self._details_due
            # Beside a new prediction they wait for the next frame, but in a fast stream each frame has one.
            if details or late_s >= (0.0 if new.latest == old.latest else DETAILS_EVERY_S):
                self._show_details(new)
            self._state = new

    def _show_details(self, new: LiveState) -> None:
        old = self._detailed
        if new.latency != old.latency:
            self.timeline.show_percentiles(new.latency)
        if new.events != old.events:
            self.feed.show(new)
        if (new.score, new.continual) != (old.score, old.continual):
            self.scoreboard.show(new.score, new.continual)
        self._detailed, self._details_due = new, time.monotonic() + DETAILS_EVERY_S

    def _update_still(self) -> None:
        """Redraw the picture if its state is no longer the newest."""
        if not self._picture.shown or self._still_state == self._state:
            return
        self._still_state = self._state
        with telling(self._tell_problem):
            self._picture.replace(self.still())

    def _tell_problem(self, words: str) -> None:
        with self.bar.updating():
            self.bar.problem = f"the screen could not be refreshed: {words}"

    def _insert(self, pixels: NDArray[np.uint8], label: int | None) -> str:
        return f"row {self._actions.insert(pixels, label)} inserted"
