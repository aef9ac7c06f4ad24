"""The control bar: start and stop the samples, and see whether the lab is well."""

from collections.abc import Callable

import traitlets

from labkit.errors import LabError
from labkit.model.live_state import LiveState
from labkit.widgets.assets import joined
from labkit.widgets.checks import take_number
from labkit.widgets.event_view import rounded
from labkit.widgets.request_widget import Job, RequestWidget

MIN_RATE, MAX_RATE = 1.0, 200.0


class ControlBar(RequestWidget):
    """A bar to send samples with, beside it the stream's counts and what is wrong, if anything.

    Args:
        on_start: Called with the rate, digits a second, to start sending or to change the rate.
        on_stop: Called to stop.

    Traits:
        rate: Digits a second.
        sending: Whether samples are being sent.
        problem: One line that says what is wrong, or nothing.
        events_seen, predictions_seen: Counts since the start of the topic.
        latency_ms: Median milliseconds from commit to prediction, or None.
    """

    _esm = joined("common.js", "control_bar.js")
    _css = joined("common.css", "control_bar.css", "dashboard.css")

    rate = traitlets.Float(5.0, min=MIN_RATE, max=MAX_RATE).tag(sync=True)
    sending = traitlets.Bool(False).tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)
    events_seen = traitlets.Int(0).tag(sync=True)
    predictions_seen = traitlets.Int(0).tag(sync=True)
    latency_ms = traitlets.Float(None, allow_none=True).tag(sync=True)

    def __init__(self, on_start: Callable[[float], None], on_stop: Callable[[], None]) -> None:
        super().__init__()
        self._on_start = on_start
        self._on_stop = on_stop

    def show(self, state: LiveState, sending: bool) -> None:
        """Show the stream's counts and health."""
        with self.updating():
            self.sending = sending
            self.problem = state.problem
            self.events_seen = state.events_seen
            self.predictions_seen = state.predictions_seen
            self.latency_ms = None if state.latency_ms is None else rounded(state.latency_ms)

    def job(self, request: dict[str, object]) -> Job:
        """Check a request ``{action: start | stop, rate}``; see `RequestWidget.job`."""
        if request.get("action") == "stop":
            return Job("stopping…", self._stop_samples)
        if request.get("action") == "start":
            rate = take_number(request, "rate", MIN_RATE, MAX_RATE)
            return Job("starting…", lambda: self._start_samples(rate))
        raise LabError("the page asked for something other than start or stop", "reload the page")

    def _start_samples(self, rate: float) -> str:
        self._on_start(rate)
        return f"sending {rate:g} a second"

    def _stop_samples(self) -> str:
        self._on_stop()
        return "sending stopped"
