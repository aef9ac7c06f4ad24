"""The timeline: where the milliseconds of one digit went, and of all digits of the last minute."""

import time
from collections import deque
from typing import cast

import numpy as np
import traitlets

from labkit.model.latency import HOPS, PERCENTILES, WINDOW_MS, Latency, hop_times
from labkit.model.live_state import ScoredEvent
from labkit.widgets.assets import joined
from labkit.widgets.event_view import event_view, rounded
from labkit.widgets.live_widget import LiveWidget

STEPS = {
    "captured": "decoded by Debezium",
    "in Kafka": "in Kafka",
    "read": "read by the scorer",
    "predicted": "predicted",
    "seen": "read by the kernel",
}
ON_SCREEN = "on screen"
PAINTS_KEPT = 1000
WAITED_MS = 5000.0
"""A digit that lay in Kafka for longer than this is told as one that waited."""


class Timeline(LiveWidget):
    """A waterfall of the newest prediction's hops, and percentiles of each hop.

    The page tells when it has painted a digit. Its clock may differ from the kernel's, so the kernel's is used: the
    last hop ends when the page's word has arrived, and so is at most that long.

    Traits:
        digit: The newest prediction: ``{key, row_id, hops, snapshot, waited}``, each hop a name and its milliseconds; a
            row of the snapshot has none. ``waited`` says that it lay in Kafka for seconds. None before any.
        percentiles: ``{digits, rows}``: a row for each hop, its name and its 50th, 95th and 99th percentile over the
            last minute, milliseconds; None where nothing was seen in it.
    """

    _esm = joined("common.js", "timeline.js")
    _css = joined("common.css", "timeline.css")

    digit = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    percentiles = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._scored: ScoredEvent | None = None
        self._painted: deque[tuple[float, float]] = deque(maxlen=PAINTS_KEPT)
        self._painted_key: object = None
        self.on_msg(self._on_message)

    def show(self, scored: ScoredEvent | None) -> None:
        """Show this digit's way."""
        with self.updating():
            if scored != self._scored:
                self._scored = scored
                self.digit = self._view(scored)

    def show_percentiles(self, latency: Latency | None) -> None:
        """Show these percentiles, and those of what the page has painted."""
        with self.updating():
            self.percentiles = self._table(latency)

    @staticmethod
    def _view(scored: ScoredEvent | None, painted_ms: float | None = None) -> dict[str, object] | None:
        if scored is None or scored.prediction is None:
            return None
        row = {"key": event_view(scored)["key"], "row_id": scored.event.row_id}
        if scored.event.operation == "r":  # It was there before capture began: its times are those of other things.
            return {**row, "hops": [], "snapshot": True, "waited": False}
        # Of a digit from before this screen there is no telling when it could have been seen.
        seen_ms = scored.predicted_seen_ms
        times = hop_times(scored.prediction, seen_ms or scored.prediction.predicted_ms)
        names = list(STEPS.values()) if seen_ms is not None else list(STEPS.values())[:-1]
        hops: list[list[object]] = [[name, rounded(ms)] for name, ms in zip(names, times, strict=False)]
        if painted_ms is not None:
            hops.append([ON_SCREEN, rounded(painted_ms)])
        return {**row, "hops": hops, "snapshot": False, "waited": times[HOPS.index("read")] >= WAITED_MS}

    def _table(self, latency: Latency | None) -> dict[str, object] | None:
        if latency is None:
            return None
        rows: list[list[object]] = [[name, *map(rounded, latency.hops[hop])] for hop, name in STEPS.items()]
        since = time.time() * 1000 - WINDOW_MS
        paints = [ms for at, ms in self._painted if at >= since]
        if paints:
            rows.append([ON_SCREEN, *(rounded(float(cut)) for cut in np.percentile(paints, PERCENTILES))])
        rows.append(["commit to kernel", *map(rounded, latency.hops["total"])])
        return {"digits": latency.digits, "rows": rows}

    def _on_message(self, widget: object, content: object, buffers: object) -> None:
        """The page has painted a digit. Untrusted: anything else is passed over."""
        del widget, buffers
        now_ms = time.time() * 1000
        with self.updating():
            scored = self._scored
            if scored is None or scored.predicted_seen_ms is None or not isinstance(content, dict):
                return
            key = event_view(scored)["key"]
            # A second page that shows the same digit tells nothing new of it.
            if cast(dict[str, object], content).get("painted") != key or key == self._painted_key:
                return
            self._painted_key = key
            painted_ms = now_ms - scored.predicted_seen_ms
            self._painted.append((now_ms, painted_ms))
            self.digit = self._view(scored, painted_ms)
