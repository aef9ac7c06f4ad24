"""Reading a topic with kafka-python: only committed records, and with a known end where one is wanted."""

import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labkit.errors import LabError
from labkit.stream.topics import CLIENT, MissingTopicError, offset_range

PATIENCE_S = 15.0
"""How long a read may stand still before its broker counts as away: longer than a killed one takes to come back."""
ANSWER_S = 1.0


def answers(servers: str) -> bool:
    """Whether something accepts connections at a broker's address, ``host:port``.

    Cheap, and needed since a consumer that has lost its broker goes on returning nothing.
    """
    host, _, port = servers.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWER_S).close()
    except OSError:
        return False
    return True


def open_reader(servers: str, positions: Mapping[TopicPartition, int], **options: Any) -> KafkaConsumer:
    """A consumer that starts at given offsets, belongs to no group and sees committed records only.

    Outside a group, a restart need not wait until the broker has noticed that the reader before it was killed.

    Raises:
        LabError: The broker is away.
    """
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=servers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **CLIENT,
            **options,
        )
    except KafkaError as error:
        raise LabError(f"no Kafka broker answers at {servers}", "labkit up") from error
    consumer.assign(list(positions))
    for partition, offset in positions.items():
        consumer.seek(partition, offset)
    return consumer


def read_to_present_end(servers: str, topic: str) -> Iterator[ConsumerRecord]:
    """Every committed record of a topic, from its first to the one that is last now.

    The end is the offset that the broker names at the start, so that a topic still being written to ends as well.

    Raises:
        LabError: There is no such topic, or the broker is away.
    """
    ranges = offset_range(servers, topic)
    pending = {partition: end for partition, (first, end) in ranges.items() if end > first}
    consumer = open_reader(servers, {partition: ranges[partition][0] for partition in pending})
    progress = Progress(servers)
    try:
        while pending:
            for records in consumer.poll(timeout_ms=500, max_records=5000).values():
                progress.made()
                for record in records:
                    if record.offset < ranges[TopicPartition(record.topic, record.partition)][1]:
                        yield record
            # The position passes transaction markers, which no poll returns.
            for partition in [p for p, end in pending.items() if (consumer.position(p) or 0) >= end]:
                del pending[partition]
                consumer.pause(partition)
                progress.made()
            progress.check()
    finally:
        consumer.close()


class Progress:
    """Ends a read that stands still: a consumer whose broker is away polls for ever and says nothing.

    Args:
        servers: Kafka's bootstrap servers, for the message.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self.made()

    def made(self) -> None:
        """Something has come."""
        self._last = time.monotonic()

    @property
    def stands_still(self) -> bool:
        """Whether nothing has come for `PATIENCE_S`."""
        return time.monotonic() - self._last > PATIENCE_S

    def check(self) -> None:
        """See whether it has stood still for too long.

        Raises:
            LabError: Nothing has come for `PATIENCE_S`.
        """
        if self.stands_still:
            raise LabError(f"Kafka at {self._servers} has handed out nothing for {PATIENCE_S:.0f} s", "labkit status")


def wait_for_records(servers: str, topic: str, count: int, timeout_s: float = 60.0) -> None:
    """Wait until a topic holds at least so many committed records. It may be made by the first of them.

    Raises:
        MissingTopicError: The topic was not made in time.
        LabError: It did not fill in time; the message says how many it holds.
    """
    deadline = time.monotonic() + timeout_s
    consumer = open_reader(servers, _first_offsets(servers, topic, deadline))
    seen = 0
    try:
        while seen < count:
            seen += sum(len(records) for records in consumer.poll(timeout_ms=200, max_records=5000).values())
            if time.monotonic() > deadline:
                raise LabError(
                    f"topic {topic} holds {seen} of {count} records after {timeout_s:.0f} s",
                    "labkit status tells whether the connector runs",
                )
    finally:
        consumer.close()


def _first_offsets(servers: str, topic: str, deadline: float) -> Mapping[TopicPartition, int]:
    while True:
        try:
            return {partition: first for partition, (first, _) in offset_range(servers, topic).items()}
        except MissingTopicError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def count_records(servers: str, topic: str) -> tuple[int, int]:
    """Committed records in a topic now, and how many of them are tombstones.

    Counted by reading: offsets count transaction markers, too.
    """
    tombstones = [record.value is None for record in read_to_present_end(servers, topic)]
    return len(tombstones), sum(tombstones)
