"""The control bar: samples, scorer and scores; beside them the stream's counts and whether the lab is well."""

from collections.abc import Callable, Mapping

import traitlets

from labkit.digits import DISTURBANCES, MOST_ROTATION_DEG, Disturbance, check_disturbance
from labkit.errors import LabError
from labkit.model.live_state import LiveState
from labkit.widgets.actions import DashboardActions
from labkit.widgets.assets import joined
from labkit.widgets.checks import take_number
from labkit.widgets.event_view import rounded
from labkit.widgets.request_widget import Job, RequestWidget

MIN_RATE, MAX_RATE = 1.0, 1000.0
WORDS: Mapping[Disturbance, str] = {"thick": "thicker", "hand": "in another hand"}
"""How samples are called whose disturbance's own name would not do in a sentence."""


class ControlBar(RequestWidget):
    """A bar that sends samples, starts and stops the scorer, and resets the scores.

    Args:
        actions: What its buttons do.

    Traits:
        rate: Digits a second.
        how: What is done to the samples: ``clean``, ``noisy``, ``rotated``, ``thick`` or ``hand``.
        strength: How much of it, 0 to 1.
        sending: Whether samples are being sent.
        scoring: Whether the scorer runs.
        problem: One line that says what is wrong, or nothing.
        events_seen, predictions_seen: Counts since the start of the topic.
        latency_ms: Median milliseconds from commit to prediction, or None.
    """

    _esm = joined("common.js", "control_bar.js")
    _css = joined("common.css", "control_bar.css", "dashboard.css")

    rate = traitlets.Float(5.0, min=MIN_RATE, max=MAX_RATE).tag(sync=True)
    how = traitlets.Enum(DISTURBANCES, "clean").tag(sync=True)
    strength = traitlets.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    sending = traitlets.Bool(False).tag(sync=True)
    scoring = traitlets.Bool(False).tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)
    events_seen = traitlets.Int(0).tag(sync=True)
    predictions_seen = traitlets.Int(0).tag(sync=True)
    latency_ms = traitlets.Float(None, allow_none=True).tag(sync=True)

    def __init__(self, actions: DashboardActions) -> None:
        super().__init__()
        self._actions = actions

    def show(self, state: LiveState) -> None:
        """Show the stream's counts and health, and what of it runs."""
        with self.updating():
            if state.predictions_seen > self.predictions_seen or self._actions.sending != self.sending:
                self.forget_status()
            self.sending = self._actions.sending
            self.scoring = self._actions.scoring
            self.problem = state.problem or self._actions.sending_problem or self._actions.capture_problem
            self.events_seen = state.events_seen
            self.predictions_seen = state.predictions_seen
            self.latency_ms = None if state.latency is None else rounded(state.latency.median_ms)

    def job(self, request: dict[str, object]) -> Job:
        """Check a request ``{action, rate, how, strength}``; see `RequestWidget.job`."""
        action = request.get("action")
        if action == "start":
            return self._start_job(request)
        jobs = {
            "stop": Job("stopping…", self._telling(self._actions.stop_sending, "sending stopped")),
            "start-scorer": Job(
                "starting the scorer…",
                self._telling(
                    self._actions.start_scorer,
                    "the scorer starts: loading TensorFlow takes some seconds, on a busy machine half a minute",
                ),
            ),
            "stop-scorer": Job(
                "stopping the scorer…",
                self._telling(self._actions.stop_scorer, "the scorer is stopped: events wait for it in Kafka"),
            ),
            "reset": Job("resetting…", self._telling(self._actions.reset_scores, "the scores begin anew")),
        }
        if not isinstance(action, str) or action not in jobs:
            raise LabError("the page asked for something that this bar does not do", "reload the page")
        return jobs[action]

    def _start_job(self, request: dict[str, object]) -> Job:
        rate = take_number(request, "rate", MIN_RATE, MAX_RATE)
        how, strength = check_disturbance(request.get("how"), request.get("strength"))
        amount = f"{MOST_ROTATION_DEG * strength:.0f}°" if how == "rotated" else f"{strength:.0%}"
        style = how if how == "clean" else f"{WORDS.get(how, how)} by {amount}"

        def start() -> str:
            self._actions.start_sending(rate, how, strength)
            return f"sending {rate:g} a second, {style}"

        return Job("starting…", start)

    @staticmethod
    def _telling(work: Callable[[], None], line: str) -> Callable[[], str]:
        def do() -> str:
            work()
            return line

        return do
