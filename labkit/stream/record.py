"""A Kafka record as engines and librdkafka hand it out."""

from typing import NamedTuple

from kafka.consumer.fetcher import ConsumerRecord


class Record(NamedTuple):
    """A record of any topic, under the names that kafka-python has for its parts, so that the same functions decode it.

    Attributes:
        timestamp: Milliseconds since the Unix epoch.
    """

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


AnyRecord = ConsumerRecord | Record
"""Who reads a record need not know which client it came by."""
