"""A live view of the stream: events joined with their predictions, scored, for any number of screens."""

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Mapping

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labkit.capture.event import ChangeEvent
from labkit.errors import LabError
from labkit.model.live_state import LiveState, ScoredEvent
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import decode_prediction
from labkit.model.score import ProgressiveScore
from labkit.settings import BYTES_PREFIX, PREDICTIONS_TOPIC, TEST_TABLE, table_topic
from labkit.stream.events import decode_event
from labkit.stream.reading import open_reader
from labkit.stream.topics import offset_range

log = logging.getLogger(__name__)

EVENTS_TOPIC = table_topic(BYTES_PREFIX, TEST_TABLE)
EVENTS_KEPT = 40
LATENCIES_KEPT = 5000
LATENCY_WINDOW_MS = 60_000
RETRY_S = 0.5

EventKey = tuple[int, int]
"""Partition and offset of an event's record: its identity."""


class LiveView:
    """Reads the events and the predictions topic in a background thread, from their beginning.

    The whole past is read first, so that a new screen and a restarted kernel show the same figures as an old one.

    Args:
        servers: Kafka's bootstrap servers.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._positions: dict[TopicPartition, int] = {}
        self._score = ProgressiveScore()
        self._events: dict[EventKey, tuple[ChangeEvent, float]] = {}
        self._predictions: dict[EventKey, Prediction] = {}
        self._latest: ScoredEvent | None = None
        self._events_seen = 0
        self._predictions_seen = 0
        self._latencies: deque[tuple[float, float]] = deque(maxlen=LATENCIES_KEPT)
        self._problem = ""
        self._started_ms = time.time() * 1000
        self._state = LiveState()
        self._stale = False
        self._thread = threading.Thread(target=self._run, name="labkit-live-view", daemon=True)

    def start(self) -> "LiveView":
        """Start reading; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop reading and wait for the thread to end."""
        self._stop.set()
        self._thread.join(timeout=10)

    def state(self) -> LiveState:
        """The picture now. The same object is returned until something has changed."""
        with self._lock:
            if self._stale:
                self._state = self._picture()
                self._stale = False
            return self._state

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except (KafkaError, LabError) as error:
                self._set_problem(f"the stream is interrupted: {error}")
                self._stop.wait(RETRY_S)

    def _read(self) -> None:
        if not self._positions:
            for topic in (EVENTS_TOPIC, PREDICTIONS_TOPIC):
                for partition, (first, _) in offset_range(self._servers, topic).items():
                    self._positions[partition] = first
        reader = open_reader(self._servers, self._positions, max_poll_records=2000)
        try:
            while not self._stop.is_set():
                polled: Mapping[TopicPartition, list[ConsumerRecord]] = reader.poll(timeout_ms=500)
                self._set_problem("")
                for partition, records in polled.items():
                    with self._lock:
                        for record in records:
                            self._take(record)
                        self._positions[partition] = records[-1].offset + 1
                        self._stale = True
        finally:
            reader.close()

    def _take(self, record: ConsumerRecord) -> None:
        now_ms = time.time() * 1000
        try:
            if record.topic == EVENTS_TOPIC:
                self._take_event(decode_event(record), now_ms)
            else:
                self._take_prediction(decode_prediction(record), now_ms)
        except LabError as error:
            log.warning("%s", error)

    def _take_event(self, event: ChangeEvent, now_ms: float) -> None:
        self._events_seen += 1
        self._events[(event.partition, event.offset)] = (event, now_ms)
        self._settle((event.partition, event.offset))
        while len(self._events) > EVENTS_KEPT:
            del self._events[next(iter(self._events))]

    def _take_prediction(self, prediction: Prediction, now_ms: float) -> None:
        self._predictions_seen += 1
        self._score.update(prediction)
        key = (prediction.partition, prediction.offset)
        self._predictions[key] = prediction
        self._settle(key)
        while len(self._predictions) > EVENTS_KEPT:
            del self._predictions[next(iter(self._predictions))]
        if prediction.predicted_ms > self._started_ms:
            self._latencies.append((now_ms, now_ms - prediction.committed_ms))

    def _settle(self, key: EventKey) -> None:
        """The newest event whose prediction is there, too, is the latest; a delete has no picture to show."""
        prediction, found = self._predictions.get(key), self._events.get(key)
        if prediction is not None and found is not None and prediction.predicted is not None:
            self._latest = ScoredEvent(found[0], prediction, found[1])

    def _set_problem(self, problem: str) -> None:
        with self._lock:
            if problem != self._problem:
                self._problem = problem
                self._stale = True

    def _picture(self) -> LiveState:
        since = time.time() * 1000 - LATENCY_WINDOW_MS
        recent = [latency for seen, latency in self._latencies if seen >= since]
        newest = list(self._events.items())[::-1]
        return LiveState(
            events=tuple(ScoredEvent(event, self._predictions.get(key), seen) for key, (event, seen) in newest),
            latest=self._latest,
            score=self._score.result(),
            events_seen=self._events_seen,
            predictions_seen=self._predictions_seen,
            latency_ms=statistics.median(recent) if recent else None,
            problem=self._problem,
        )
