"""Where a scorer goes on: the predictions topic itself says how far scoring is."""

import logging

from kafka.structs import TopicPartition

from labkit.errors import LabError
from labkit.model.prediction_records import decode_prediction, is_reset
from labkit.settings import BYTES_PREFIX, PREDICTIONS_TOPIC, TEST_TABLE, table_topic
from labkit.stream.reading import open_reader
from labkit.stream.topics import offset_range

log = logging.getLogger(__name__)

EVENTS_TOPIC = table_topic(BYTES_PREFIX, TEST_TABLE)
TAIL = 50
"""How many of the newest predictions are looked at for where to go on."""


def resume_positions(servers: str) -> dict[TopicPartition, int]:
    """Where to go on: behind the last event that has a recorded prediction, in each partition.

    Raises:
        LabError: A topic is missing, or the broker is away.
    """
    positions = {partition: first for partition, (first, _) in offset_range(servers, EVENTS_TOPIC).items()}
    for partition, (first, end) in offset_range(servers, PREDICTIONS_TOPIC).items():
        source = TopicPartition(EVENTS_TOPIC, partition.partition)
        scored = _last_scored_offset(servers, partition, first, end)
        if scored is not None and source in positions:
            positions[source] = scored + 1
    return positions


def _last_scored_offset(servers: str, partition: TopicPartition, first: int, end: int) -> int | None:
    """Event offset in the newest prediction of a partition; records that are no predictions are passed over."""
    stop = end
    while stop > first:
        start = max(first, stop - TAIL)
        found: int | None = None
        reader = open_reader(servers, {partition: start})
        try:
            while (reader.position(partition) or 0) < stop:
                for record in reader.poll(timeout_ms=500).get(partition, []):
                    if record.offset < stop and not is_reset(record):
                        try:
                            found = decode_prediction(record).offset
                        except LabError as error:
                            log.warning("%s", error)
        finally:
            reader.close()
        if found is not None:
            return found
        stop = start
    return None
