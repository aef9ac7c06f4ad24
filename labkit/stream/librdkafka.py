"""Reading and writing by librdkafka, for who must keep up with a fast stream.

kafka-python unpacks and packs each record in Python, which took most of the time that a scorer had for a digit.
Everybody else reads with kafka-python, see `labkit.stream.reading`.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer
from confluent_kafka import KafkaError as Trouble
from confluent_kafka import TopicPartition as Place
from kafka.structs import TopicPartition

from labkit.errors import LabError
from labkit.stream.record import Record

log = logging.getLogger(__name__)

CLIENT: Mapping[str, Any] = {
    # librdkafka writes a line to the terminal at each try to reconnect; `_tell` says it once.
    "log_level": 0,
    "reconnect.backoff.max.ms": 1_000,
    "socket.nagle.disable": True,
}
READER: Mapping[str, Any] = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    # librdkafka reads ahead, by default 64 MB, and where that is full it rests for a second.
    "queued.max.messages.kbytes": 16_384,
    # At its end it waits no longer for a broker that is away.
    "session.timeout.ms": 6_000,
    "fetch.queue.backoff.ms": 5,
}
WRITER: Mapping[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    # What is written together waits for `flush`, so that it is few requests.
    "linger.ms": 1_000,
    "batch.size": 1_000_000,
    # Records must not be given up one by one: later ones would be written, and those before them never. `write` alone
    # gives up, and then all that is left.
    "delivery.timeout.ms": 0,
    "request.timeout.ms": 5_000,
}
FLUSH_S = 15.0
CLOSE_S = 2.0
NO_GROUP = "labkit-no-group"
"""librdkafka wants a name also of a reader that never joins or commits."""


class _Reader:
    """A consumer of partitions from given offsets on, a member of no group."""

    def __init__(self, servers: str, positions: Mapping[TopicPartition, int], **options: Any) -> None:
        config = {"bootstrap.servers": servers, "group.id": NO_GROUP, "error_cb": _tell, **options}
        self._consumer = Consumer({**CLIENT, **READER, **config})
        self._consumer.assign([Place(place.topic, place.partition, offset) for place, offset in positions.items()])

    def close(self) -> None:
        """End it."""
        # librdkafka's threads rest by the wall clock: where that was set back by an hour, they end an hour later.
        closing = threading.Thread(target=self._consumer.close, name="labkit-reader-close", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


class SwiftReader(_Reader):
    """Reads committed records of partitions, from given offsets on.

    It is no member of its group, and only commits to it: a restart need not wait until the broker has
    noticed that the reader before it was killed.

    Args:
        servers: Kafka's bootstrap servers.
        positions: Where to begin.
        group: The consumer group that `commit` is for; None for who commits nothing.
    """

    def __init__(self, servers: str, positions: Mapping[TopicPartition, int], group: str | None = None) -> None:
        super().__init__(servers, positions, **{"group.id": group or NO_GROUP})

    def poll(self, timeout_s: float, most: int) -> list[Record]:
        """What there is now, at most so many records; if there is nothing, what comes first within a time.

        Raises:
            LabError: The topic cannot be read; not where the broker is away: then nothing comes.
        """
        return [_record(message) for message in _messages(self._consumer, timeout_s, most)]

    def commit(self, records: Sequence[Record]) -> None:
        """Commit that these records, and all before them, are done with; does not wait for the broker's answer."""
        newest = {(record.topic, record.partition): record.offset for record in records}
        places = [Place(topic, partition, offset + 1) for (topic, partition), offset in newest.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            raise LabError(f"Kafka does not take the offsets of {places[0].topic}: {error}", "labkit status") from error

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets.

        Raises:
            LabError: librdkafka refuses, as for a topic that is gone.
        """
        try:
            for place, offset in positions.items():
                self._consumer.seek(Place(place.topic, place.partition, offset))
        except KafkaException as error:
            raise LabError(f"Kafka's topics cannot be read from another offset: {error}", "labkit status") from error


class TopicReader(_Reader):
    """Reads all committed records of partitions, and knows when it has come to their end.

    Args:
        servers: Kafka's bootstrap servers.
        positions: Where to begin.
    """

    def __init__(self, servers: str, positions: Mapping[TopicPartition, int]) -> None:
        super().__init__(servers, positions, **{"enable.partition.eof": True})
        self._unfinished = {place.partition for place in positions}

    def poll(self, timeout_s: float, most: int) -> list[Record]:
        """What there is now, at most so many records; if there is nothing, what comes first within a time.

        Raises:
            LabError: The topic cannot be read; not where the broker is away: then nothing comes.
        """
        records: list[Record] = []
        for message in _messages(self._consumer, timeout_s, most):
            trouble = message.error()
            if trouble is not None and trouble.code() == Trouble._PARTITION_EOF:  # pyright: ignore[reportPrivateUsage]
                self._unfinished.discard(message.partition() or 0)
            else:
                records.append(_record(message))
        return records

    @property
    def at_end(self) -> bool:
        """Whether each partition has been read to where its committed records ended at that time."""
        return not self._unfinished


def more_wait(servers: str, positions: Mapping[TopicPartition, int], timeout_s: float = 5.0) -> bool:
    """Whether a reader of its own finds a committed record at these offsets of a topic, or behind them.

    For who has long been told of none: offsets alone do not tell, as transaction markers take some, too. Where the
    broker does not answer in time, none is found.

    Args:
        servers: Kafka's bootstrap servers.
        positions: Where another reader has come to, in all partitions that it reads.
        timeout_s: When to give up, seconds.
    """
    reader = TopicReader(servers, positions)
    deadline = time.monotonic() + timeout_s
    try:
        while not reader.at_end and time.monotonic() < deadline:
            if reader.poll(0.1, 1):
                return True
        return False
    finally:
        reader.close()


class SwiftWriter:
    """Writes records, many at a time, each once and in their order (an idempotent producer).

    Args:
        servers: Kafka's bootstrap servers.
    """

    def __init__(self, servers: str) -> None:
        self._producer = Producer({**CLIENT, **WRITER, "bootstrap.servers": servers, "error_cb": _tell})

    def write(self, topic: str, records: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Write records, and wait until the broker has all of them.

        Args:
            topic: Where to.
            records: Of each its partition, key and value.

        Raises:
            LabError: One is not written; of the others a first part is, or none.
        """
        failures: list[Trouble] = []

        def delivered(trouble: Trouble | None, _: Message) -> None:
            if trouble is not None:
                failures.append(trouble)

        try:
            for partition, key, value in records:
                self._producer.produce(topic, value, key, partition, on_delivery=delivered)
        except (KafkaException, BufferError) as error:
            self._producer.purge()
            raise _not_written(topic, error) from error
        waiting = self._producer.flush(FLUSH_S)
        if failures or waiting:
            self._producer.purge()
            raise _not_written(topic, failures[0] if failures else f"no answer in {FLUSH_S:.0f} s")

    def close(self) -> None:
        """End it; what is not written by now never is."""
        self._producer.purge()
        self._producer.flush(1)


def _messages(consumer: Consumer, timeout_s: float, most: int) -> list[Message]:
    first = consumer.poll(timeout_s)
    if first is None:
        return []
    return [first, *consumer.consume(most - 1, 0)] if most > 1 else [first]


def _record(message: Message) -> Record:
    if trouble := message.error():
        raise LabError(f"Kafka's topic {message.topic()} cannot be read: {trouble.str()}", "labkit status")
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        float(message.timestamp()[1]),
        message.key(),
        message.value(),
        list(message.headers() or ()),  # pyright: ignore[reportArgumentType]
    )


def _tell(trouble: Trouble) -> None:
    if trouble.code() == Trouble._ALL_BROKERS_DOWN:  # pyright: ignore[reportPrivateUsage]
        log.warning("Kafka does not answer: %s", trouble.str())


def _not_written(topic: str, reason: object) -> LabError:
    return LabError(f"Kafka's topic {topic} cannot be written: {reason}", "labkit status")
