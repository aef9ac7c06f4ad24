"""Where a scorer goes on: the predictions topic itself says how far scoring is."""

import logging
from collections.abc import Iterator, Sequence

from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import TopicPartition

from labkit.errors import LabError
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import decode_prediction, is_reset
from labkit.settings import BYTES_PREFIX, PREDICTIONS_TOPIC, TEST_TABLE, table_topic
from labkit.stream.events import NotADigitError, decode_event
from labkit.stream.reading import Progress, open_reader
from labkit.stream.topics import offset_range

log = logging.getLogger(__name__)

EVENTS_TOPIC = table_topic(BYTES_PREFIX, TEST_TABLE)
TAIL = 50
"""How many of the newest predictions are looked at for where to go on."""
RUN = 5000
"""How many at a time for where a model was taken up."""


def resume_positions(servers: str) -> dict[TopicPartition, int]:
    """Where to go on: behind the last event that has a recorded prediction, in each partition.

    Where the events topic was deleted and made anew, that is its beginning: offsets of the one before say nothing.

    Raises:
        LabError: A topic is missing, or the broker is away.
    """
    events = offset_range(servers, EVENTS_TOPIC)
    positions = {partition: first for partition, (first, _) in events.items()}
    for partition, (first, end) in offset_range(servers, PREDICTIONS_TOPIC).items():
        source = TopicPartition(EVENTS_TOPIC, partition.partition)
        last = _last_prediction(servers, partition, first, end)
        if last is None or source not in positions:
            continue
        if _still_holds(servers, source, *events[source], last):
            positions[source] = last.offset + 1
        else:
            log.warning("%s", made_anew(source, last.offset))
    return positions


def made_anew(partition: TopicPartition, reached: int) -> str:
    """What there is to say where a topic no longer holds what was scored.

    Args:
        partition: Of the events topic.
        reached: Offset up to which it was scored.
    """
    return (
        f"{partition.topic}[{partition.partition}] no longer holds what was scored up to offset {reached}: "
        "it was deleted and made anew, and is scored from its beginning; labkit ledger tells what it lacks"
    )


def first_scored_by(servers: str, version: str) -> dict[int, int]:
    """Where a model was taken up: by partition, the event of its first prediction in the newest unbroken run of them.

    Partitions whose newest prediction is another model's are left out.

    Raises:
        LabError: The predictions topic is missing, or the broker is away.
    """
    found = {
        partition.partition: _first_offset_by(servers, version, partition, first, end)
        for partition, (first, end) in offset_range(servers, PREDICTIONS_TOPIC).items()
    }
    return {partition: offset for partition, offset in found.items() if offset is not None}


def _first_offset_by(servers: str, version: str, partition: TopicPartition, first: int, end: int) -> int | None:
    found: int | None = None
    for predictions in _backwards(servers, partition, first, end, RUN):
        for prediction in reversed(predictions):
            # Offsets that fall are those of a topic that was there before the events topic was made anew.
            if prediction.model_version != version or (found is not None and prediction.offset > found):
                return found
            found = prediction.offset
    return found


def _last_prediction(servers: str, partition: TopicPartition, first: int, end: int) -> Prediction | None:
    """The newest prediction of a partition; records that are no predictions are passed over."""
    for predictions in _backwards(servers, partition, first, end, TAIL):
        if predictions:
            return predictions[-1]
    return None


def _still_holds(servers: str, partition: TopicPartition, first: int, end: int, prediction: Prediction) -> bool:
    """Whether a partition still holds the event of a prediction, or has let go of it in the course of time."""
    if prediction.offset < first:
        return True
    for record in _records(servers, partition, prediction.offset, min(prediction.offset + 1, end)):
        try:
            event = decode_event(record)
        except NotADigitError:
            return False
        return (event.row_id, event.lsn, event.recorded_ms) == (
            prediction.row_id,
            prediction.lsn,
            prediction.recorded_ms,
        )
    return False


def _backwards(
    servers: str, partition: TopicPartition, first: int, end: int, step: int
) -> Iterator[Sequence[Prediction]]:
    """The predictions of a partition, the newest ``step`` offsets first, each such part in its order."""
    stop = end
    while stop > first:
        start = max(first, stop - step)
        yield _predictions(servers, partition, start, stop)
        stop = start


def _predictions(servers: str, partition: TopicPartition, start: int, stop: int) -> list[Prediction]:
    found: list[Prediction] = []
    for record in _records(servers, partition, start, stop):
        if not is_reset(record):
            try:
                found.append(decode_prediction(record))
            except LabError as error:
                log.warning("%s", error)
    return found


def _records(servers: str, partition: TopicPartition, start: int, stop: int) -> Iterator[ConsumerRecord]:
    """The committed records of a partition between two offsets."""
    if start >= stop:
        return
    reader = open_reader(servers, {partition: start})
    progress = Progress(servers)
    try:
        while (reader.position(partition) or 0) < stop:
            for record in reader.poll(timeout_ms=500).get(partition, []):
                progress.made()
                if record.offset < stop:
                    yield record
            progress.check()
    finally:
        reader.close()
