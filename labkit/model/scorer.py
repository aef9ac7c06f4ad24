"""The live scorer: change events in, predictions out, none lost and none repeated."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from kafka import KafkaConsumer, KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from labkit.capture.event import ChangeEvent
from labkit.digits import PIXELS
from labkit.errors import LabError
from labkit.model.continual import ContinualModel
from labkit.model.inference import compile_predict
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import encode_prediction
from labkit.model.resume import resume_positions
from labkit.model.store import ModelStore
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.events import decode_events
from labkit.stream.reading import open_reader
from labkit.stream.topics import CLIENT

log = logging.getLogger(__name__)

GROUP = "labkit-scorer"
"""The consumer group whose committed offsets tell how far scoring is."""
MAX_BATCH = 512
RETRY_S = 0.5
RELEARNED = 2000
"""Offsets before the next event that the continual model learns again after a restart."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the two models said of one image."""

    probabilities: npt.NDArray[np.float32]
    continual: int


class Models:
    """A published model, frozen, and the copy of it that goes on learning."""

    def __init__(self, store: ModelStore, version: str) -> None:
        model = store.load(version)
        self.version = version
        self._frozen = compile_predict(model)
        self._continual = ContinualModel(model)

    def predict(self, events: Sequence[ChangeEvent]) -> list[Answer | None]:
        """An answer for each event; None for a delete, which has no image."""
        images = _images([event for event in events if event.pixels is not None])
        if not len(images):
            return [None] * len(events)
        answers = (
            Answer(probabilities, int(continual))
            for probabilities, continual in zip(self._frozen(images), self._continual.predict(images), strict=True)
        )
        return [None if event.pixels is None else next(answers) for event in events]

    @property
    def learned(self) -> int:
        """Events that the continual model has learned from."""
        return self._continual.learned

    def learn(self, events: Sequence[ChangeEvent]) -> None:
        """Let the continual model learn from those events that have an image and a label."""
        labelled = [event for event in events if event.pixels is not None and event.label is not None]
        labels: list[int] = [event.label for event in labelled if event.label is not None]
        self._continual.learn(_images(labelled), np.array(labels, np.int32))


def _images(events: Sequence[ChangeEvent]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(event.pixels or b"" for event in events), np.uint8).reshape(-1, PIXELS)


class Scorer:
    """Reads change events, predicts in micro-batches, records the predictions, then commits the offsets.

    A prediction carries the offset of its event and goes to the partition of the same number. So the predictions topic
    itself says how far scoring is, in the same write that records the prediction: after a crash the scorer goes on
    behind the last recorded one. The committed offsets come after and are for those who watch the lag.

    Args:
        servers: Kafka's bootstrap servers.
        store: Where models are published; a newer one is taken up between two batches.
    """

    def __init__(self, servers: str, store: ModelStore) -> None:
        self._servers = servers
        self._store = store
        self._models: Models | None = None

    def run(self, stop: threading.Event) -> None:
        """Score until told to stop. While the broker is away, keep trying."""
        self._wait_for_model(stop)
        while not stop.is_set():
            try:
                self._run_connected(stop)
            except (KafkaError, LabError) as error:
                log.warning("scoring interrupted, trying again: %s", error)
                stop.wait(RETRY_S)

    def _run_connected(self, stop: threading.Event) -> None:
        positions = resume_positions(self._servers)
        self._relearn(positions)
        consumer = open_reader(self._servers, positions, group_id=GROUP, max_poll_records=MAX_BATCH)
        # acks=all and idempotence are kafka-python's defaults; linger 0: a prediction waits for no company.
        producer = KafkaProducer(
            bootstrap_servers=self._servers,
            delivery_timeout_ms=10_000,
            request_timeout_ms=5_000,
            **CLIENT,
        )
        try:
            while not stop.is_set():
                polled = consumer.poll(timeout_ms=500)
                records = [record for batch in polled.values() for record in batch]
                if records:
                    self._score(records, producer)
                    _commit(consumer, records)
        finally:
            producer.close(timeout=1)
            consumer.close()

    def _relearn(self, positions: Mapping[TopicPartition, int]) -> None:
        """What the continual model had learned died with its process: let it learn the newest scored events again."""
        models = self._current_models()
        if models.learned:
            return
        for partition, position in positions.items():
            reader = open_reader(self._servers, {partition: max(0, position - RELEARNED)}, max_poll_records=MAX_BATCH)
            try:
                while (reader.position(partition) or 0) < position:
                    records = reader.poll(timeout_ms=500).get(partition, [])
                    models.learn(decode_events([record for record in records if record.offset < position]))
            finally:
                reader.close()

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
        for future in sent:
            future.get(timeout=15)
        # Test, then train: by now the predictions are recorded, and nobody waits.
        models.learn(events)

    def _current_models(self) -> Models:
        version = self._store.current_version()
        if version is not None and (self._models is None or version != self._models.version):
            self._models = Models(self._store, version)
            log.info("scoring with model %s", version)
        if self._models is None:
            raise LabError("there is no model to score with", "lab.publish(model), or: labkit train")
        return self._models

    def _wait_for_model(self, stop: threading.Event) -> None:
        if self._store.current_version() is None:
            log.info("waiting for a model to be published")
        while self._store.current_version() is None:
            if stop.wait(0.2):
                return
        self._current_models()


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
