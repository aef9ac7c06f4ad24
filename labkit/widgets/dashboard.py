"""The dashboard: pad, prediction, score and feed on one screen, moved by the newest state of the stream."""

import asyncio
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

STILL_EVERY_S = 2.0
"""The picture for saved notebooks follows the stream no faster than this: nobody watches it."""


class Dashboard:
    """All widgets together, refreshed on the kernel's event loop while no cell runs.

    In a plain script, and in a notebook run by papermill (whose cells follow each other without a pause, and
    which keeps only what a running cell shows), call `refresh` by hand.

    Args:
        actions: What clicks do to the stream.
        poll: Returns the newest state; called at the frame rate on the event loop, so cheap.
        frames_per_second: Upper bound for refreshes, 0.1 to 30. While nothing changes, nothing is sent.

    Attributes:
        bar, pad, prediction, scoreboard, feed: The parts, each a widget of its own.

    Raises:
        LabError: The frame rate is out of its range.
    """

    def __init__(
        self, actions: DashboardActions, poll: Callable[[], LiveState], frames_per_second: float = 8.0
    ) -> None:
        if not 0.1 <= frames_per_second <= 30:
            raise LabError(f"frames_per_second is {frames_per_second}", "choose from 0.1 to 30; 8 looks smooth")
        self._actions = actions
        self._poll = poll
        self._pause_s = 1 / frames_per_second
        self._state = LiveState()
        self._still_state: LiveState | None = None
        self._still_at = 0.0
        self._picture = Picture()
        self._task: asyncio.Task[None] | None = None

        self.bar = ControlBar(self._start_sending, actions.stop_sending)
        self.pad = DrawPad(self._insert)
        self.prediction = PredictionCard(actions.relabel, actions.delete)
        self.scoreboard = Scoreboard()
        self.feed = EventFeed(actions.relabel, actions.delete)
        self._layout = Layout(self.bar, [self.pad, self.prediction, self.scoreboard, self.feed])
        self._start_loop()

    def refresh(self) -> None:
        """Pull the state once and show it, the picture for saved notebooks included."""
        self._pull()
        self._update_still()

    def still(self) -> str:
        """The state last shown, as HTML that needs no kernel, no script and no style."""
        return still_html(self._state)

    def close(self) -> None:
        """Stop refreshing and take the widgets off the page; the picture of the last state stays."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._update_still()
        self._layout.close()
        for widget in (self.bar, self.pad, self.prediction, self.scoreboard, self.feed):
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
        self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self._pull()
            if time.monotonic() - self._still_at >= STILL_EVERY_S:
                self._update_still()
            await asyncio.sleep(self._pause_s)

    def _pull(self) -> None:
        """Fetch the newest state and show what has changed. Never raises: the loop has to live on."""
        with telling(self._tell_problem):
            new, sending = self._poll(), self._actions.sending
            old = self._state
            if new.events != old.events:
                self.feed.show(new.events)
            if new.latest != old.latest:
                self.prediction.show(new.latest)
            if new.score != old.score:
                self.scoreboard.show(new.score)
            self.bar.show(new, sending)
            self._state = new

    def _update_still(self) -> None:
        """Redraw the picture if its state is no longer the newest."""
        if not self._picture.shown or self._still_state == self._state:
            return
        self._still_state, self._still_at = self._state, time.monotonic()
        with telling(self._tell_problem):
            self._picture.replace(self.still())

    def _tell_problem(self, words: str) -> None:
        with self.bar.updating():
            self.bar.problem = f"the screen could not be refreshed: {words}"

    def _insert(self, pixels: NDArray[np.uint8], label: int | None) -> str:
        return f"row {self._actions.insert(pixels, label)} inserted"

    def _start_sending(self, rate: float) -> None:
        if self._actions.sending:
            self._actions.stop_sending()
        self._actions.start_sending(rate)
