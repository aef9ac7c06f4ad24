"""A table as the bytes route's topic tells it: the newest state of each row, as arrays to train on."""

from collections.abc import Iterable

import numpy as np

from labkit.capture.event import ChangeEvent
from labkit.digits import SIDE, Digits
from labkit.errors import LabError
from labkit.stream.events import decode_events
from labkit.stream.librdkafka import TopicReader
from labkit.stream.reading import Progress
from labkit.stream.topics import offset_range

AT_ONCE = 2_048
LOOK_S = 0.02


def read_rows(servers: str, topic: str, rows: int = 0) -> Digits:
    """Read the labelled digits of a table from its topic, as it tells of them by now.

    A row that was relabelled has its last label, and one that was deleted is not there, as in the table itself. It is
    read while it fills, so that the last rows of a snapshot have to wait for nobody.

    Args:
        servers: Kafka's bootstrap servers, ``host:port``.
        topic: A topic of the bytes route.
        rows: Read on until there are so many rows, with a label or without; else to the present end.

    Raises:
        MissingTopicError: There is no such topic.
        LabError: The broker is away, or the topic stands still with fewer rows.
    """
    newest: dict[int, ChangeEvent] = {}
    reader = TopicReader(servers, {place: first for place, (first, _) in offset_range(servers, topic).items()})
    progress = Progress(servers)
    try:
        while not reader.at_end or len(newest) < rows:
            records = reader.poll(LOOK_S, AT_ONCE)
            if records:
                progress.made()
                _follow(newest, decode_events(records))
            elif progress.stands_still:
                raise LabError(
                    f"topic {topic} tells of {len(newest):,} of {rows:,} rows, and no more come",
                    "labkit status tells whether the connector runs",
                )
    finally:
        reader.close()
    # By row id: with several partitions, another reading has another order.
    labelled = [event for _, event in sorted(newest.items()) if event.label is not None]
    pixels = b"".join(event.pixels or b"" for event in labelled)
    return Digits(
        np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE),
        np.array([event.label for event in labelled], np.uint8),
        f"Kafka's topic {topic}",
    )


def _follow(newest: dict[int, ChangeEvent], events: Iterable[ChangeEvent]) -> None:
    for event in events:
        if event.operation == "d":
            newest.pop(event.row_id, None)
        else:
            newest[event.row_id] = event
