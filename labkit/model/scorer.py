"""The live scorer: change events in, predictions out, none lost and none repeated."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from labkit.capture.event import ChangeEvent
from labkit.errors import LabError
from labkit.model.checkpoint import CheckpointFile
from labkit.model.continual import deterministic_ops
from labkit.model.inference import compile_predict
from labkit.model.learner import Learner, stack_images
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import BATCH_BYTES, encode_prediction
from labkit.model.resume import EVENTS_TOPIC, first_scored_by, made_anew, resume_positions
from labkit.model.store import ModelStore, NewestModel
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.events import decode_events
from labkit.stream.reading import Progress, open_reader
from labkit.stream.topics import CLIENT, topic_id

log = logging.getLogger(__name__)

GROUP = "labkit-scorer"
"""The consumer group whose committed offsets tell how far scoring is."""
MAX_BATCH = 512
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """What the two models said of one image."""

    probabilities: npt.NDArray[np.float32]
    continual: int


class Models:
    """A published model, frozen, and the copy of it that goes on learning.

    Args:
        model: The published one.
        version: Its version.
        learner: The copy.
    """

    def __init__(self, model: keras.Model, version: str, learner: Learner) -> None:
        self.version = version
        self.learner = learner
        self._frozen = compile_predict(model)

    def predict(self, events: Sequence[ChangeEvent]) -> list[Answer | None]:
        """An answer for each event; None for a delete, which has no image."""
        images = stack_images([event.pixels for event in events if event.pixels is not None])
        if not len(images):
            return [None] * len(events)
        answers = (
            Answer(probabilities, int(continual))
            for probabilities, continual in zip(self._frozen(images), self.learner.predict(images), strict=True)
        )
        return [None if event.pixels is None else next(answers) for event in events]


class Scorer:
    """Reads change events, predicts in micro-batches, records the predictions, then commits the offsets.

    A prediction carries the offset of its event and goes to the partition of the same number. So the predictions topic
    itself says how far scoring is, in the same write that records the prediction: after a crash the scorer goes on
    behind the last recorded one. The committed offsets come after and are for those who watch the lag.

    Args:
        servers: Kafka's bootstrap servers.
        store: Where models are published; a newer one is taken up between two batches.
        checkpoint: Holds what the model that goes on learning has learned, and up to which event.
    """

    def __init__(self, servers: str, store: ModelStore, checkpoint: CheckpointFile) -> None:
        self._servers = servers
        self._store = store
        self._checkpoint = checkpoint
        self._newest = NewestModel(store)
        self._models: Models | None = None
        self._topic = ""
        self._positions: dict[int, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Score until told to stop. While the broker is away, keep trying."""
        deterministic_ops()
        self._wait_for_model(stop)
        while not stop.is_set():
            try:
                self._run_connected(stop)
            except (KafkaError, LabError) as error:
                log.warning("scoring interrupted, trying again: %s", error)
                stop.wait(RETRY_S)
        if self._models is not None:
            self._models.learner.save()

    def _run_connected(self, stop: threading.Event) -> None:
        topic = topic_id(self._servers, EVENTS_TOPIC)
        if topic != self._topic:
            self._topic, self._models = topic, None  # What was learned went with the topic before.
        positions = resume_positions(self._servers)
        self._positions = {partition.partition: offset for partition, offset in positions.items()}
        self._catch_up(self._current_models().learner, positions, stop)
        consumer = open_reader(self._servers, positions, group_id=GROUP, max_poll_records=MAX_BATCH)
        # acks=all and idempotence are kafka-python's defaults. What is sent lingers until the flush at the end of its
        # batch, so that a batch is one request.
        producer = KafkaProducer(
            bootstrap_servers=self._servers,
            batch_size=BATCH_BYTES,
            linger_ms=1_000,
            delivery_timeout_ms=10_000,
            request_timeout_ms=5_000,
            **CLIENT,
        )
        try:
            while not stop.is_set():
                polled = consumer.poll(timeout_ms=500)
                records = [record for batch in polled.values() for record in batch]
                if records:
                    self._check_topic(records)
                    self._score(records, producer)
                    _commit(consumer, records)
                self._current_models().learner.save_when_due()
        finally:
            producer.close(timeout=1)
            consumer.close()

    def _check_topic(self, records: Sequence[ConsumerRecord]) -> None:
        """See whether offsets begin anew: then they are those of another topic of the same name.

        One that is longer than the old one, when this process first reads it, is not told from that by its offsets.

        Raises:
            LabError: They do.
        """
        for record in records:
            scored = self._positions.get(record.partition, 0)
            if record.offset < scored:
                raise LabError(made_anew(TopicPartition(record.topic, record.partition), scored - 1))

    def _catch_up(self, learner: Learner, positions: Mapping[TopicPartition, int], stop: threading.Event) -> None:
        """Learn from what is scored and was not learned, however much: a kill came first, or another engine scored."""
        started, read = time.monotonic(), 0
        for partition, end in positions.items():
            if learner.position(partition.partition) < end:
                read += self._learn_until(learner, partition, end, stop)
        if read:
            learner.save()  # It may have taken long: another kill must not bring all of it back.
            log.info("learning has caught up with scoring: %d events in %.1f s", read, time.monotonic() - started)

    def _learn_until(self, learner: Learner, partition: TopicPartition, end: int, stop: threading.Event) -> int:
        reader = open_reader(
            self._servers, {partition: learner.position(partition.partition)}, max_poll_records=MAX_BATCH
        )
        progress, read = Progress(self._servers), 0
        try:
            while not stop.is_set() and (reader.position(partition) or 0) < end:
                records = reader.poll(timeout_ms=500).get(partition, [])
                if records:
                    progress.made()
                progress.check()
                read += learner.learn(decode_events([record for record in records if record.offset < end]))
                learner.save_when_due()
        finally:
            reader.close()
        return read

    def _score(self, records: Sequence[ConsumerRecord], producer: KafkaProducer) -> None:
        read_ms = time.time() * 1000
        events = decode_events(records)
        models = self._current_models()
        answers = models.predict(events)
        predicted_ms = time.time() * 1000
        sent = [
            producer.send(
                PREDICTIONS_TOPIC,
                key=str(event.row_id).encode(),
                value=encode_prediction(_prediction(event, answer, models.version, read_ms, predicted_ms)),
                partition=event.partition,
            )
            for event, answer in zip(events, answers, strict=True)
        ]
        producer.flush(timeout=15)
        for future in sent:
            future.get(timeout=0)  # Raises what went wrong.
        # Test, then train: by now the predictions are recorded, and nobody waits.
        models.learner.learn(events)
        self._positions |= {record.partition: record.offset + 1 for record in records}

    def _current_models(self) -> Models:
        version, model = self._newest.get()
        if self._models is None or version != self._models.version:
            self._models = self._take_up(version, model)
            log.info("scoring with model %s", version)
        return self._models

    def _take_up(self, version: str, model: keras.Model) -> Models:
        """Take up a published model and its learner, which begins where the model's first prediction is or will be."""
        first_of_all = self._models is None

        def start() -> dict[int, int]:
            # A model that is published while this process scores has scored nothing yet.
            if not first_of_all:
                return self._positions
            # Never ahead of the scoring: in a topic that was made anew, the first prediction's offset says nothing.
            first = first_scored_by(self._servers, version)
            return {number: min(position, first.get(number, position)) for number, position in self._positions.items()}

        return Models(model, version, Learner(model, version, self._topic, self._checkpoint, start))

    def _wait_for_model(self, stop: threading.Event) -> None:
        if self._store.current_version() is None:
            log.info("waiting for a model to be published")
        while self._store.current_version() is None and not stop.wait(0.2):
            pass


def _prediction(
    event: ChangeEvent, answer: Answer | None, version: str, read_ms: float, predicted_ms: float
) -> Prediction:
    if answer is None:
        return Prediction.of(event, (), version, read_ms, predicted_ms)
    return Prediction.of(
        event, answer.probabilities.tolist(), version, read_ms, predicted_ms, continual=answer.continual
    )


def _commit(consumer: KafkaConsumer, records: Sequence[ConsumerRecord]) -> None:
    newest = {TopicPartition(record.topic, record.partition): record.offset for record in records}
    consumer.commit_async({partition: OffsetAndMetadata(offset + 1, "", -1) for partition, offset in newest.items()})
