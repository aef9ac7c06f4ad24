"""The job itself, whatever engine runs it: a transaction's training rows are one mini-batch, then its test rows follow.

So what is learned and predicted follows from the topics alone, and from nothing that happens while they are read: not
from when a poll ends, nor which topic is read first, nor how often the job was killed.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy.typing as npt

from labkit.online.events import (
    SOURCES,
    TEST_TOPIC,
    TRAIN_TOPIC,
    TRANSACTIONS_TOPIC,
    Change,
    Flower,
    ForeignRecordError,
    TransactionEnd,
    decode_change,
    decode_end,
)
from labkit.online.kmeans import Clusters, Unit, learn, nearest
from labkit.online.records import IrisPrediction, Learned

log = logging.getLogger(__name__)

START_CENTRES = ((6.0, 3.0, 1.0, 0.0), (6.0, 3.0, 2.0, 1.0), (6.0, 3.0, 3.0, 2.0))
"""The example's."""
START = Learned(0, 0, START_CENTRES, (0.0, 0.0, 0.0), dict.fromkeys(SOURCES, 0))


class Clusterer(Protocol):
    """What learns: the rule, or an engine's own implementation of it."""

    @property
    def clusters(self) -> Clusters:
        """Centres and weights now."""
        ...

    def learn(self, points: Sequence[tuple[float, ...]]) -> None:
        """Learn a mini-batch of at least one point."""
        ...

    def nearest(self, points: Sequence[tuple[float, ...]]) -> Sequence[int]:
        """The cluster of each point."""
        ...


class RuleClusterer:
    """The published rule, see `labkit.online.kmeans`.

    Args:
        clusters: Where it starts.
        decay: What a past unit still counts.
        unit: What the decay counts.
    """

    def __init__(self, clusters: Clusters, decay: float = 1.0, unit: Unit = "batches") -> None:
        self.clusters, self._decay = clusters, decay
        self._unit: Unit = unit

    def learn(self, points: npt.ArrayLike) -> None:
        """Learn a mini-batch."""
        self.clusters = learn(self.clusters, points, self._decay, self._unit)

    def nearest(self, points: npt.ArrayLike) -> Sequence[int]:
        """The cluster of each point."""
        return nearest(self.clusters, points).tolist()


class Step(NamedTuple):
    """What one transaction led to: the centres after it, and a prediction for each of its test rows."""

    learned: Learned
    predictions: tuple[IrisPrediction, ...]


class IrisLearner:
    """Learns and predicts transaction by transaction.

    Args:
        clusterer: What learns. It starts with the centres of `learned`.
        learned: How far an earlier run was.
    """

    def __init__(self, clusterer: Clusterer, learned: Learned = START) -> None:
        self._clusterer, self._learned = clusterer, learned
        self._read = {topic: learned.positions.get(topic, 0) for topic in SOURCES}
        self._positions = dict(self._read)
        self._ends: deque[TransactionEnd] = deque()
        self._changes: dict[str, dict[str, list[Change]]] = {TRAIN_TOPIC: {}, TEST_TOPIC: {}}

    def take(self, topic: str, offset: int, value: bytes | None) -> None:
        """Take a record; those of one topic in the order of their offsets. One that was taken before changes nothing.

        A record that is not of the iris tables is logged and passed over.
        """
        if offset < self._read[topic]:
            return
        self._read[topic] = offset + 1
        try:
            if topic == TRANSACTIONS_TOPIC:
                end = decode_end(offset, value)
                if end is not None:
                    self._ends.append(end)
            else:
                change = decode_change(topic, offset, value)
                self._changes[topic].setdefault(change.transaction, []).append(change)
        except ForeignRecordError as error:
            log.warning("%s", error)

    def steps(self) -> list[Step]:
        """Learn and predict every transaction of which all records have been taken, in their order."""
        found: list[Step] = []
        while self._ends and self._is_whole(self._ends[0]):
            found.append(self._step(self._ends.popleft()))
        return found

    def _is_whole(self, end: TransactionEnd) -> bool:
        return all(
            len(self._changes[topic].get(end.transaction, ())) >= count
            for topic, count in end.changes.items()
            if topic in self._changes
        )

    def _step(self, end: TransactionEnd) -> Step:
        training = [flower.features for _, flower in self._inserted(TRAIN_TOPIC, end)]
        test = self._inserted(TEST_TOPIC, end)
        self._positions[TRANSACTIONS_TOPIC] = end.offset + 1
        if training:
            self._clusterer.learn(training)
        clusters = self._clusterer.clusters
        self._learned = Learned(
            version=self._learned.version + bool(training),
            rows=self._learned.rows + len(training),
            centres=tuple(map(tuple, clusters.centres.tolist())),
            weights=tuple(clusters.weights.tolist()),
            positions=dict(self._positions),
            transaction=end.transaction,
        )
        numbers = self._clusterer.nearest([flower.features for _, flower in test]) if test else ()
        predictions = tuple(
            IrisPrediction(
                row_id=flower.id,
                label=flower.label,
                cluster=number,
                version=self._learned.version,
                rows=self._learned.rows,
                transaction=end.transaction,
                offset=offset,
            )
            for (offset, flower), number in zip(test, numbers, strict=True)
        )
        return Step(self._learned, predictions)

    def _inserted(self, topic: str, end: TransactionEnd) -> list[tuple[int, Flower]]:
        """Offset and content of the flowers that a transaction inserted; they wait no longer."""
        waiting = self._changes[topic]
        changes = waiting.pop(end.transaction, [])
        if changes:
            self._positions[topic] = changes[-1].offset + 1
            # A topic is in the order of the transactions: what is behind now claims one that never was.
            for foreign in [name for name, rows in waiting.items() if rows[-1].offset < changes[-1].offset]:
                log.warning("rows of %s claim transaction %s, which never was, and are passed over", topic, foreign)
                del waiting[foreign]
        return [(change.offset, change.flower) for change in changes if change.flower is not None]
