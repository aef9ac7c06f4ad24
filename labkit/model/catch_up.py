"""Learning later, from the topic: what was scored when there was no time to learn, or by a process that was killed."""

from collections.abc import Collection, Mapping

from kafka.structs import TopicPartition

from labkit.model.learner import Learner
from labkit.stream.events import decode_events
from labkit.stream.librdkafka import SwiftReader
from labkit.stream.reading import Progress

AT_ONCE = 128
"""Records. Learning so many takes some ten milliseconds, for which an event that comes meanwhile has to wait."""


class CatchUp:
    """Lets a learner read what it has not read, a little at a time.

    Args:
        servers: Kafka's bootstrap servers.
        learner: Who is behind; nobody else lets it learn meanwhile.
        partitions: All of the events topic.

    Attributes:
        read: How many events it has read so far.
    """

    def __init__(self, servers: str, learner: Learner, partitions: Collection[TopicPartition]) -> None:
        self._learner = learner
        self._partitions = partitions
        self._offsets = {place.partition: learner.position(place.partition) for place in partitions}
        self._reader = SwiftReader(servers, self._positions())
        self._progress = Progress(servers)
        self.read = 0

    def step(self, ends: Mapping[int, int], wait_s: float = 0.01) -> None:
        """Learn from some of what is scored, and never from more: a model is tested on an event before it learns it.

        Args:
            ends: By partition, the offset behind what is scored.
            wait_s: How long it may wait for the first record, seconds.

        Raises:
            LabError: The topic cannot be read, or nothing has come for long.
        """
        records = self._reader.poll(wait_s, AT_ONCE)
        scored = [record for record in records if record.offset < ends.get(record.partition, 0)]
        if scored:
            self._progress.made()
        self._progress.check()
        self._offsets |= {record.partition: record.offset + 1 for record in scored}
        if len(scored) < len(records):
            # Of several partitions, one may have been read further than it is scored.
            self._reader.seek(self._positions())
        self.read += self._learner.learn(decode_events(scored))

    def _positions(self) -> Mapping[TopicPartition, int]:
        return {place: self._offsets[place.partition] for place in self._partitions}

    def rest(self) -> None:
        """Note that nobody asks for a step just now: that is no silence of Kafka's."""
        self._progress.made()

    def done(self, ends: Mapping[int, int]) -> bool:
        """Whether all that is scored is learned."""
        return all(read >= ends.get(partition, 0) for partition, read in self._offsets.items())

    def close(self) -> None:
        """End it, done or not."""
        self._reader.close()
