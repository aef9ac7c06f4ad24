"""What is known of the stream so far: events joined with their predictions, counted and scored. No client in here."""

import itertools
import time
from collections import Counter, defaultdict, deque
from dataclasses import replace

from labkit.capture.event import ChangeEvent, Operation
from labkit.model.latency import Latency, LatencyWindow
from labkit.model.live_state import LiveState, ScoredEvent
from labkit.model.prediction import Prediction
from labkit.model.score import ProgressiveScore
from labkit.settings import TEST_TABLE

KEPT_OF_A_KIND = 40
"""Events kept of each table and operation, so that a rare delete is still there after a thousand inserts."""
EARLY_KEPT = 5000
"""Predictions kept that were read before their event."""
DIGITS_OF_A_CELL = 12
"""Newest predictions kept for each cell of the confusion matrix."""
LATENCY_EVERY_S = 1.0

Kind = tuple[str, Operation]
EventKey = tuple[str, int, int]
"""Table, partition and offset of an event's record: its identity."""


class LiveTally:
    """Takes events and predictions, each in the order of its topic, and tells the state of the stream.

    Its size is bounded, however many events come: a byte or two for each row, and the newest images.

    Args:
        started_ms: Digits predicted before this, milliseconds since the Unix epoch, say nothing of how long the way to
            this screen takes.
    """

    def __init__(self, started_ms: float) -> None:
        self._started_ms = started_ms
        self._numbers = itertools.count()
        self._events: dict[EventKey, tuple[int, ScoredEvent]] = {}
        self._kinds: defaultdict[Kind, deque[EventKey]] = defaultdict(deque)
        self._counts: Counter[Kind] = Counter()
        self._early: dict[EventKey, tuple[Prediction, float | None]] = {}
        self._latest: ScoredEvent | None = None
        self._predictions_seen = 0
        self._latencies = LatencyWindow()
        self._latency: Latency | None = None
        self._latency_at = float("-inf")
        self.reset()

    def reset(self) -> None:
        """Begin both scores anew."""
        self._frozen = ProgressiveScore("frozen")
        self._continual = ProgressiveScore("continual")
        self._cells: defaultdict[tuple[int, int], deque[Prediction]] = defaultdict(
            lambda: deque(maxlen=DIGITS_OF_A_CELL)
        )

    def take_event(self, event: ChangeEvent, seen_ms: float) -> None:
        """Take the next event of its table's topic, seen at a time in milliseconds since the Unix epoch."""
        key = (event.table, event.partition, event.offset)
        kind: Kind = (event.table, event.operation)
        self._counts[kind] += 1
        self._events[key] = (next(self._numbers), ScoredEvent(event, None, seen_ms))
        self._kinds[kind].append(key)
        if len(self._kinds[kind]) > KEPT_OF_A_KIND:
            del self._events[self._kinds[kind].popleft()]
        early = self._early.pop(key, None)
        if early is not None:
            self._join(key, *early)

    def take_prediction(self, prediction: Prediction, seen_ms: float) -> None:
        """Take the next prediction, likewise."""
        self._predictions_seen += 1
        self._frozen.update(prediction)
        self._continual.update(prediction)
        live = prediction.predicted_ms > self._started_ms
        # The time of a snapshot's row is not that of its commit, and it may have waited for the first model.
        if live and prediction.predicted is not None and prediction.operation != "r":
            self._latencies.add(prediction, seen_ms)
        if prediction.label is not None and prediction.predicted is not None:
            self._cells[prediction.label, prediction.predicted].append(prediction)
        key = (prediction.table, prediction.partition, prediction.offset)
        if key in self._events:
            self._join(key, prediction, seen_ms if live else None)
            return
        self._early[key] = (prediction, seen_ms if live else None)
        if len(self._early) > EARLY_KEPT:
            del self._early[next(iter(self._early))]

    def _join(self, key: EventKey, prediction: Prediction, seen_ms: float | None) -> None:
        number, scored = self._events[key]
        scored = replace(scored, prediction=prediction, predicted_seen_ms=seen_ms)
        self._events[key] = (number, scored)
        if prediction.predicted is None:
            return  # A delete has no picture to show.
        self._latest = scored

    def predictions_of(self, label: int, predicted: int) -> list[Prediction]:
        """The newest predictions that count in one cell of the confusion matrix now, newest first."""
        found: dict[int, Prediction] = {}
        for prediction in self._cells[label, predicted]:
            if self._frozen.pair(prediction.table, prediction.row_id) == (label, predicted):
                found[prediction.row_id] = prediction
        return list(found.values())[::-1]

    def state(self, problem: str = "") -> LiveState:
        """The picture now.

        Args:
            problem: What is wrong with the stream, if anything.
        """
        newest = sorted(self._events.values(), key=lambda numbered: numbered[0], reverse=True)
        return LiveState(
            events=tuple(scored for _, scored in newest),
            latest=self._latest,
            score=self._frozen.result(),
            continual=self._continual.result(),
            counts=tuple(self._counts.items()),
            events_seen=sum(count for (table, _), count in self._counts.items() if table == TEST_TABLE),
            predictions_seen=self._predictions_seen,
            latency=self._percentiles(),
            problem=problem,
        )

    def _percentiles(self) -> Latency | None:
        """Computed once a second: sorting a minute of a fast stream takes milliseconds."""
        if time.monotonic() - self._latency_at >= LATENCY_EVERY_S:
            self._latency_at = time.monotonic()
            self._latency = self._latencies.percentiles(time.time() * 1000)
        return self._latency
