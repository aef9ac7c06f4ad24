"""A Kafka record as engines hand it out."""

from typing import NamedTuple


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
