"""How far a consumer group is behind, in records."""

from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import GroupIdNotFoundError, KafkaError
from kafka.structs import TopicPartition

from labkit.errors import LabError
from labkit.stream.reading import open_reader
from labkit.stream.topics import CLIENT, MissingTopicError, offset_range

PATIENCE_MS = 5000
COUNTED = 100
"""Offsets between the group and the end up to which records are counted one by one."""


class Lag:
    """Measures how many records of its topics a group has not committed yet.

    Transaction markers take offsets, too. So near the end, where they would be most of the difference, the records
    themselves are counted.

    Args:
        servers: Kafka's bootstrap servers.
        group: The consumer group.
        positions: Where it began, every partition of every topic: the group may have committed nothing yet.
    """

    def __init__(self, servers: str, group: str, positions: dict[TopicPartition, int]) -> None:
        self._servers = servers
        self._reached = dict(positions)
        self._group = KafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False, **CLIENT)
        self._reader = open_reader(servers, positions)

    def measure(self) -> int | None:
        """Records that wait now; None while the broker is away.

        Raises:
            MissingTopicError: A topic is gone.
        """
        try:
            return self._measure()
        except MissingTopicError:
            raise
        except (LabError, KafkaError):
            return None

    def _measure(self) -> int:
        waiting = 0
        for topic in {partition.topic for partition in self._reached}:
            for partition, (_, end) in offset_range(self._servers, topic).items():
                committed = self._group.committed(partition, timeout_ms=PATIENCE_MS) or 0
                self._reached[partition] = max(self._reached.get(partition, 0), committed)
                offsets = end - self._reached[partition]
                waiting += offsets if offsets > COUNTED else self._count(partition, end)
        return waiting

    def close(self) -> None:
        """Let go of Kafka."""
        self._group.close()
        self._reader.close()

    def _count(self, partition: TopicPartition, end: int) -> int:
        if self._reached[partition] >= end:
            return 0
        self._reader.seek(partition, self._reached[partition])
        found = 0
        while (self._reader.position(partition) or 0) < end:
            batches = self._reader.poll(timeout_ms=500)
            if not batches:
                break  # The broker is away: another time.
            found += sum(record.offset < end for record in batches.get(partition, []))
        if found == 0 and (self._reader.position(partition) or 0) >= end:
            self._reached[partition] = end  # Markers only: they need not be looked at again.
        return found


def forget_group(servers: str, group: str) -> None:
    """Forget how far a consumer group was: its next job begins anew.

    Raises:
        LabError: The broker is away.
    """
    try:
        admin: Any = KafkaAdminClient(bootstrap_servers=servers, **CLIENT)
    except KafkaError as error:
        raise LabError(f"no Kafka broker answers at {servers}", "labkit up") from error
    try:
        admin.delete_groups([group])
    except GroupIdNotFoundError:
        pass  # There was none.
    finally:
        admin.close()
