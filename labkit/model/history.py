"""The past of the stream, read back from Kafka: nothing that has scrolled away is lost."""

from collections.abc import Callable, Iterator, Mapping

from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import TopicPartition

from labkit.capture.event import ChangeEvent, Operation
from labkit.errors import LabError
from labkit.model.live_state import RawRecord, ScoredEvent
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import decode_prediction, is_reset
from labkit.settings import BYTES_PREFIX, PREDICTIONS_TOPIC, TEST_TABLE, TRAIN_TABLE, table_topic
from labkit.stream.events import decode_event
from labkit.stream.reading import Progress, open_reader
from labkit.stream.topics import offset_range

FIRST_STEP = 500
LAST_STEP = 16_000
"""Offsets read at once on the way back: few for a page of what is frequent, then more, as a rare kind may be far."""
POLL_MS = 500

Place = tuple[int, int]
"""Partition and offset."""


class History:
    """Reads single records and pages of change events of the bytes route.

    Args:
        servers: Kafka's bootstrap servers.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers

    def record(self, table: str, partition: int, offset: int) -> RawRecord:
        """One record of a table's topic.

        Raises:
            LabError: There is no record of that offset, no such topic, or the broker is away.
        """
        place = TopicPartition(table_topic(BYTES_PREFIX, table), partition)
        first, end = offset_range(self._servers, place.topic).get(place, (0, 0))
        # A reader set beyond the end would begin anew at the start.
        for record in self._read(place, offset, offset + 1) if first <= offset < end else ():
            return RawRecord(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                timestamp_ms=record.timestamp,
                key=record.key,
                value=record.value,
                headers=tuple(record.headers),
            )
        raise LabError(
            f"there is no record {place.topic}[{partition}]@{offset}",
            "it may have been a transaction marker, or expired",
        )

    def older(
        self,
        table: str | None,
        operation: Operation | None,
        before: Mapping[str, Mapping[int, int]],
        before_ms: float | None,
        count: int,
    ) -> list[ScoredEvent]:
        """The newest events before given places, newest first.

        Args:
            table: Only events of this table; None for both.
            operation: Only events of this kind; None for all.
            before: By table and partition, the offset that events must be before.
            before_ms: For partitions that ``before`` leaves out: the time that events must be recorded before,
                milliseconds since the Unix epoch; None for the end.
            count: How many.

        Raises:
            LabError: The broker is away.
        """

        def wanted(event: ChangeEvent) -> bool:
            return operation in (None, event.operation)

        events: list[ChangeEvent] = []
        for name in (TRAIN_TABLE, TEST_TABLE) if table is None else (table,):
            topic = table_topic(BYTES_PREFIX, name)
            for place, (first, end) in offset_range(self._servers, topic).items():
                stop = before.get(name, {}).get(place.partition)
                if stop is None:
                    stop = end if before_ms is None else self._offset_at(place, int(before_ms), end)
                events += self._read_back(place, first, min(stop, end), count, wanted)
        events.sort(key=lambda event: (event.recorded_ms, event.offset), reverse=True)
        page = events[:count]
        predictions = self._predictions_of(page)
        return [ScoredEvent(event, predictions.get((event.partition, event.offset)), None) for event in page]

    def _read_back(
        self, place: TopicPartition, first: int, end: int, count: int, wanted: Callable[[ChangeEvent], bool]
    ) -> list[ChangeEvent]:
        found: list[ChangeEvent] = []
        stop, step = end, FIRST_STEP
        while stop > first and len(found) < count:
            start, step = max(first, stop - step), min(2 * step, LAST_STEP)
            events: list[ChangeEvent] = []
            for record in self._read(place, start, stop):
                try:
                    events.append(decode_event(record))
                except LabError:
                    continue  # The ledger counts foreign records.
            found = ([event for event in events if wanted(event)] + found)[-count:]
            stop = start
        return found

    def _predictions_of(self, events: list[ChangeEvent]) -> dict[Place, Prediction]:
        """A prediction is written after its event: so the search begins at the oldest event's time."""
        missing = {(event.partition, event.offset) for event in events if event.table == TEST_TABLE}
        found: dict[Place, Prediction] = {}
        if not missing:
            return found
        oldest_ms = int(min(event.recorded_ms for event in events if event.table == TEST_TABLE))
        for place, (_, end) in offset_range(self._servers, PREDICTIONS_TOPIC).items():
            for record in self._read(place, self._offset_at(place, oldest_ms, end), end):
                if is_reset(record):
                    continue
                try:
                    prediction = decode_prediction(record)
                except LabError:
                    continue
                answered = (prediction.partition, prediction.offset)
                if answered in missing:
                    found[answered] = prediction
                    missing.discard(answered)
                if not missing:
                    return found
        return found

    def _offset_at(self, place: TopicPartition, time_ms: int, end: int) -> int:
        reader = open_reader(self._servers, {place: 0})
        try:
            at = reader.offsets_for_times({place: time_ms}).get(place)
            return end if at is None else int(at.offset)
        finally:
            reader.close()

    def _read(self, place: TopicPartition, start: int, stop: int) -> Iterator[ConsumerRecord]:
        """Committed records from one offset to before another; transaction markers are passed over."""
        reader = open_reader(self._servers, {place: start}, max_poll_records=FIRST_STEP)
        progress = Progress(self._servers)
        try:
            while (at := reader.position(place) or 0) < stop:
                progress.check()
                for record in reader.poll(timeout_ms=POLL_MS).get(place, []):
                    if record.offset >= stop:
                        return
                    yield record
                if reader.position(place) != at:
                    progress.made()
        finally:
            reader.close()
