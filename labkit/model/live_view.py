"""A live view of the stream, read in the background, for any number of screens."""

import logging
import threading
import time
from collections.abc import Mapping

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labkit.errors import LabError
from labkit.model.live_state import LiveState
from labkit.model.live_tally import LiveTally
from labkit.model.prediction_records import decode_prediction, is_reset
from labkit.model.score import ModelName
from labkit.settings import BYTES_PREFIX, PREDICTIONS_TOPIC, TEST_TABLE, TRAIN_TABLE, table_topic
from labkit.stream.events import decode_event
from labkit.stream.reading import answers, open_reader
from labkit.stream.topics import offset_range

log = logging.getLogger(__name__)

EVENT_TOPICS = tuple(table_topic(BYTES_PREFIX, table) for table in (TRAIN_TABLE, TEST_TABLE))
RETRY_S = 0.5
POLL_EVERY_S = 0.03
"""Of a fast stream, what comes within this time is read at once: each fetch costs the broker as much as many records.
Events that come slower than this are not kept waiting."""


class LiveView:
    """Reads the topics of events and of predictions in a background thread, from their beginning.

    The whole past is read first, so that a new screen and a restarted kernel show the same figures as an old one.

    Args:
        servers: Kafka's bootstrap servers.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._positions: dict[TopicPartition, int] = {}
        self._tally = LiveTally(time.time() * 1000)
        self._problem = ""
        self._state = LiveState()
        self._stale = False
        self._drawn_at = 0.0
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
        """The picture now. An equal one is returned until something has changed."""
        with self._lock:
            # What was "within the last minute" changes without any event.
            aged = self._state.latency is not None and time.monotonic() - self._drawn_at > 1.0
            if self._stale or aged:
                self._state = self._tally.state(self._problem)
                self._stale = False
                self._drawn_at = time.monotonic()
            return self._state

    def wait(self, known: LiveState, timeout_s: float) -> None:
        """Wait until there are more predictions than in a state, at most so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self._tally.predictions_seen > known.predictions_seen, timeout_s)

    def rows_of(self, label: int, predicted: int, model: ModelName = "frozen") -> list[int]:
        """Rows that count in one cell of a model's confusion matrix now, see `LiveTally.rows_of`."""
        with self._lock:
            return self._tally.rows_of(label, predicted, model)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except (KafkaError, LabError) as error:
                self._set_problem(f"the stream is interrupted: {error}")
                self._stop.wait(RETRY_S)

    def _read(self) -> None:
        if not self._positions:
            # All of them or none: a broker that goes away in between must not leave a topic out.
            self._positions = {
                partition: first
                for topic in (*EVENT_TOPICS, PREDICTIONS_TOPIC)
                for partition, (first, _) in offset_range(self._servers, topic).items()
            }
        reader = open_reader(self._servers, self._positions, max_poll_records=2000)
        try:
            due = time.monotonic()
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                due = time.monotonic() + POLL_EVERY_S
                polled: Mapping[TopicPartition, list[ConsumerRecord]] = reader.poll(timeout_ms=500)
                # A poll says nothing of a broker that is away: it only comes back empty.
                away = not polled and not answers(self._servers)
                self._set_problem(f"no Kafka broker answers at {self._servers}: labkit status" if away else "")
                for partition, records in polled.items():
                    with self._lock:
                        for record in records:
                            self._take(record)
                        self._positions[partition] = records[-1].offset + 1
                        self._stale = True
                        self._news.notify_all()
        finally:
            reader.close()

    def _take(self, record: ConsumerRecord) -> None:
        now_ms = time.time() * 1000
        try:
            if record.topic != PREDICTIONS_TOPIC:
                self._tally.take_event(decode_event(record), now_ms)
            elif is_reset(record):
                self._tally.reset()
            else:
                self._tally.take_prediction(decode_prediction(record), now_ms)
        except LabError as error:
            log.warning("%s", error)

    def _set_problem(self, problem: str) -> None:
        with self._lock:
            if problem != self._problem:
                self._problem = problem
                self._stale = True
