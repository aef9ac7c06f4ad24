"""The event feed: the newest change events as they come out of Kafka, and the older ones on demand."""

from collections.abc import Sequence
from typing import cast

import traitlets

from labkit.capture.event import OPERATION_NAMES, Operation
from labkit.digits import PIXELS
from labkit.errors import LabError
from labkit.model.live_state import LiveState, ScoredEvent
from labkit.settings import TEST_TABLE, TRAIN_TABLE
from labkit.widgets.actions import DashboardActions
from labkit.widgets.assets import joined
from labkit.widgets.event_view import event_view, raw_view
from labkit.widgets.request_widget import Job
from labkit.widgets.row_requests import RowRequestWidget

MAX_EVENTS = 30
ALL = ""


class EventFeed(RowRequestWidget):
    """Change events, newest first, at most `MAX_EVENTS` at a time.

    Paused, it stays as it is and counts what comes. Nothing is lost by that: whatever has scrolled away is in Kafka,
    from where ``older`` fetches it.

    Args:
        actions: What relabels and deletes rows, and fetches older events and raw records; None for a mere display.

    Traits:
        table: Only this table's events; empty for both.
        operation: Only events of this operation, by Debezium's code; empty for all.
        paused: Whether the feed stays as it is.
        waiting: How many events of those chosen have come since it was paused.
        events: One JSON object an event, see `event_view`; ``image`` is the index of its image, or None.
        images: The images one after the other, 784 bytes each: binary, a quarter less than base64 in JSON.
        opened: The record that was opened last, see `raw_view`; None for none.
    """

    _esm = joined("common.js", "event_feed.js")
    _css = joined("common.css", "event_feed.css")

    table = traitlets.Enum((ALL, TRAIN_TABLE, TEST_TABLE), ALL).tag(sync=True)
    operation = traitlets.Enum((ALL, *OPERATION_NAMES), ALL).tag(sync=True)
    paused = traitlets.Bool(False).tag(sync=True)
    waiting = traitlets.Int(0).tag(sync=True)
    events = traitlets.List[dict[str, object]]().tag(sync=True)
    images = traitlets.Bytes(b"").tag(sync=True)
    opened = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)

    def __init__(self, actions: DashboardActions | None = None) -> None:
        super().__init__(*((actions.relabel, actions.delete) if actions else (None, None)))
        self._actions = actions
        self._state = LiveState()
        self._shown: Sequence[ScoredEvent] = ()
        self._count_at_pause = 0
        self.observe(self._on_filter, names=["table", "operation"])
        self.observe(self._on_pause, names="paused")

    def show(self, state: LiveState) -> None:
        """Show the newest events of those chosen; while paused, count them only."""
        with self.updating():
            self._state = state
            if self.paused:
                self.waiting = self._chosen_count() - self._count_at_pause
            else:
                self._draw([scored for scored in state.events if self._is_chosen(scored)])

    def job(self, request: dict[str, object]) -> Job:
        """Check a request ``{action: older | open | relabel | delete, …}``; see `RequestWidget.job`."""
        action = request.get("action")
        if action not in ("older", "open"):
            return super().job(request)
        if self._actions is None:
            raise LabError("nothing is connected that could read in Kafka", "pass actions to the widget")
        if action == "open":
            return self._open_job(request, self._actions)
        actions = self._actions
        return Job("reading back in Kafka…", lambda: self._show_older(actions))

    def _is_chosen(self, scored: ScoredEvent) -> bool:
        return self.table in (ALL, scored.event.table) and self.operation in (ALL, scored.event.operation)

    def _chosen_count(self) -> int:
        return sum(
            count
            for (table, operation), count in self._state.counts
            if self.table in (ALL, table) and self.operation in (ALL, operation)
        )

    def _on_filter(self, change: object) -> None:
        del change
        with self.updating():
            self._draw([scored for scored in self._state.events if self._is_chosen(scored)])
            self._begin_pause()

    def _on_pause(self, change: object) -> None:
        del change
        with self.updating():
            self._begin_pause()
            if not self.paused:
                self.status = ""
            self.show(self._state)

    def _begin_pause(self) -> None:
        self._count_at_pause = self._chosen_count()
        self.waiting = 0

    def _show_older(self, actions: DashboardActions) -> str:
        with self.updating():
            self.paused = True
            shown = self._shown
            table, operation = self.table or None, cast(Operation, self.operation) if self.operation else None
        before: dict[str, dict[int, int]] = {}
        for scored in shown:
            offsets = before.setdefault(scored.event.table, {})
            offsets[scored.event.partition] = min(
                scored.event.offset, offsets.get(scored.event.partition, scored.event.offset)
            )
        before_ms = min((scored.event.recorded_ms for scored in shown), default=None)
        older = actions.older_events(table, operation, before, before_ms, MAX_EVENTS)
        if not older:
            return "these are the oldest"
        with self.updating():
            self._draw(older)
        return f"{len(older)} older events, read back from Kafka"

    def _open_job(self, request: dict[str, object], actions: DashboardActions) -> Job:
        key = request.get("key")
        found = next((scored for scored in self._shown if event_view(scored)["key"] == key), None)
        if found is None:
            raise LabError("this event is not on the screen any more", "press Pause first, then open it")
        event = found.event

        def work() -> str:
            raw = actions.record(event.table, event.partition, event.offset)
            with self.updating():
                self.opened = raw_view(found, raw)
            return f"record {raw.topic}[{raw.partition}]@{raw.offset}"

        return Job("reading the record…", work)

    def _draw(self, events: Sequence[ScoredEvent]) -> None:
        views: list[dict[str, object]] = []
        images: list[bytes] = []
        for scored in events[:MAX_EVENTS]:
            pixels = scored.event.pixels
            has_image = pixels is not None and len(pixels) == PIXELS
            views.append(event_view(scored) | {"image": len(images) if has_image else None})
            if pixels is not None and has_image:
                images.append(pixels)
        self._shown = tuple(events[:MAX_EVENTS])
        self.images = b"".join(images)
        self.events = views
