"""What is known of the stream so far: events joined with their predictions, counted and scored. No client in here."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from labkit.capture.event import ChangeEvent, Operation
from labkit.model.latency import Latency, LatencyWindow
from labkit.model.live_state import LiveState, ScoredEvent
from labkit.model.prediction import Prediction
from labkit.model.score import MODELS, ModelName, ProgressiveScore
from labkit.model.waiting import Waiting
from labkit.settings import TEST_TABLE

KEPT_OF_A_KIND = 40
"""Events kept of each table and operation, so that a rare delete is still there after a thousand inserts."""
WAITING_KEPT, WAITING_SAMPLED = 2500, 2500
"""Of the predictions that were read before their event, and likewise of the events that wait for theirs: the newest,
and a sample of those before them."""
DIGITS_OF_A_CELL = 12
"""Newest digits shown of a cell of the confusion matrix."""
LATENCY_EVERY_S = 1.0

Kind = tuple[str, Operation]
EventKey = tuple[str, int, int, int]
"""Table, partition, offset and LSN of an event's record: its identity, also in a topic that was made anew."""


class LiveTally:
    """Takes events and predictions, each in the order of its topic, and tells the state of the stream.

    Its size is bounded, however many events come: a byte or two for each row, and the newest images.

    Args:
        started_ms: What was recorded before this, milliseconds since the Unix epoch, says nothing of how long the way
            to this screen takes.

    Attributes:
        predictions_seen: How many predictions have been taken.
    """

    def __init__(self, started_ms: float) -> None:
        self._started_ms = started_ms
        self._events: dict[EventKey, ScoredEvent] = {}
        self._kinds: defaultdict[Kind, deque[EventKey]] = defaultdict(deque)
        self._counts: Counter[Kind] = Counter()
        self._unscored: Waiting[EventKey, ScoredEvent] = Waiting(WAITING_KEPT, WAITING_SAMPLED)
        self._early: Waiting[EventKey, tuple[Prediction, float | None]] = Waiting(WAITING_KEPT, WAITING_SAMPLED)
        self._latest: ScoredEvent | None = None
        self.predictions_seen = 0
        self._latencies = LatencyWindow()
        self._latency: Latency | None = None
        self._latency_at = float("-inf")
        self._scores: dict[ModelName, ProgressiveScore] = {name: ProgressiveScore(name) for name in MODELS}

    def reset(self) -> None:
        """Begin both scores anew."""
        for score in self._scores.values():
            score.reset()

    def take_event(self, event: ChangeEvent, seen_ms: float) -> None:
        """Take the next event of its table's topic, seen at a time in milliseconds since the Unix epoch."""
        key = _key(event)
        kind: Kind = (event.table, event.operation)
        self._counts[kind] += 1
        live = event.operation != "r" and event.recorded_ms > self._started_ms
        self._events[key] = ScoredEvent(event, None, seen_ms if live else None)
        self._kinds[kind].append(key)
        if len(self._kinds[kind]) > KEPT_OF_A_KIND:
            del self._events[self._kinds[kind].popleft()]
        if event.operation == "d":
            self._note_deleted(event.table, event.row_id)
        early = self._early.pop(key)
        if early is not None:
            self._join(self._events[key], *early)
        elif event.table == TEST_TABLE:
            # Apart from the few on the screen: in a fast stream these may be gone before the prediction comes.
            self._unscored.put(key, self._events[key])

    def take_prediction(self, prediction: Prediction, seen_ms: float) -> None:
        """Take the next prediction, likewise."""
        self.predictions_seen += 1
        for score in self._scores.values():
            score.update(prediction)
        live = prediction.predicted_ms > self._started_ms
        # The time of a snapshot's row is not that of its commit, and it may have waited for the first model.
        if live and prediction.predicted is not None and prediction.operation != "r":
            self._latencies.add(prediction, seen_ms)
        if prediction.operation == "d":
            # Told by the event already, unless that was read before the row's last prediction.
            self._note_deleted(prediction.table, prediction.row_id)
        key = _key(prediction)
        scored = self._unscored.pop(key)
        if scored is not None:
            self._join(scored, prediction, seen_ms if live else None)
        else:
            self._early.put(key, (prediction, seen_ms if live else None))

    def _join(self, scored: ScoredEvent, prediction: Prediction, seen_ms: float | None) -> None:
        scored = replace(scored, prediction=prediction, predicted_seen_ms=seen_ms)
        key = _key(scored.event)
        if key in self._events:
            self._events[key] = scored
        if prediction.predicted is not None:  # A delete has no picture to show.
            self._latest = scored

    def _note_deleted(self, table: str, row_id: int) -> None:
        latest = self._latest
        if latest is not None and (latest.event.table, latest.event.row_id) == (table, row_id):
            self._latest = replace(latest, deleted=True)

    def _with_deleted(self, events: Sequence[ScoredEvent]) -> Iterator[ScoredEvent]:
        """The events, those of rows marked whose delete is among them."""
        gone = {(one.event.table, one.event.row_id) for one in events if one.event.operation == "d"}
        for one in events:
            yield replace(one, deleted=True) if (one.event.table, one.event.row_id) in gone else one

    def rows_of(self, label: int, predicted: int, model: ModelName = "frozen") -> list[int]:
        """Rows of the test table that count in one cell of a model's confusion matrix now, newest first."""
        return self._scores[model].rows(label, predicted, DIGITS_OF_A_CELL)

    def state(self, problem: str = "") -> LiveState:
        """The picture now.

        Args:
            problem: What is wrong with the stream, if anything.
        """
        # By Kafka's time, not in the order of reading: a new screen reads one topic after the other.
        newest = sorted(self._events.values(), key=lambda one: (one.event.recorded_ms, one.event.offset), reverse=True)
        return LiveState(
            events=tuple(self._with_deleted(newest)),
            latest=self._latest,
            score=self._scores["frozen"].result(),
            continual=self._scores["continual"].result(),
            counts=tuple(self._counts.items()),
            events_seen=sum(count for (table, _), count in self._counts.items() if table == TEST_TABLE),
            predictions_seen=self.predictions_seen,
            latency=self._percentiles(),
            problem=problem,
        )

    def _percentiles(self) -> Latency | None:
        """Computed once a second: sorting a minute of a fast stream takes milliseconds."""
        if time.monotonic() - self._latency_at >= LATENCY_EVERY_S:
            self._latency_at = time.monotonic()
            self._latency = self._latencies.percentiles(time.time() * 1000)
        return self._latency


def _key(record: ChangeEvent | Prediction) -> EventKey:
    return (record.table, record.partition, record.offset, record.lsn)
