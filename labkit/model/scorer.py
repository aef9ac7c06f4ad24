"""The live scorer: change events in, predictions out, none lost and none repeated."""

import gc
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import keras
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from labkit.capture.event import ChangeEvent
from labkit.errors import LabError
from labkit.model.catch_up import CatchUp
from labkit.model.checkpoint import CheckpointFile
from labkit.model.continual import deterministic_ops
from labkit.model.inference import compile_predict
from labkit.model.learner import Learner, stack_images
from labkit.model.prediction import Prediction, recorded
from labkit.model.prediction_records import encode_prediction
from labkit.model.resume import EVENTS_TOPIC, first_scored_by, made_anew, resume_positions
from labkit.model.standstill import EndAtStandstill
from labkit.model.store import ModelStore, NewestModel
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.events import decode_events
from labkit.stream.librdkafka import SwiftReader, SwiftWriter, more_wait
from labkit.stream.reading import PATIENCE_S, Progress
from labkit.stream.record import Record
from labkit.stream.topics import topic_id

log = logging.getLogger(__name__)

GROUP = "labkit-scorer"
"""The consumer group whose committed offsets tell how far scoring is."""
MAX_BATCH = 2048
"""Events that are scored at once, at most."""
MANY = 256
"""So many at once come of a COPY, or where scoring is behind: then what waits comes before learning."""
POLL_S = 0.5
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """What the two models said of one image."""

    probabilities: tuple[float, ...]
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
        answers = map(Answer, recorded(self._frozen(images)), self.learner.predict(images).tolist())
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
        standstill: Ends this process where its loop stands still, for who has it restarted; None for who has not.
    """

    def __init__(
        self, servers: str, store: ModelStore, checkpoint: CheckpointFile, standstill: EndAtStandstill | None = None
    ) -> None:
        self._servers = servers
        self._standstill = standstill
        self._store = store
        self._checkpoint = checkpoint
        self._newest = NewestModel(store)
        self._models: Models | None = None
        self._topic = ""
        self._partitions: Sequence[TopicPartition] = ()
        self._positions: dict[int, int] = {}
        self._later: CatchUp | None = None

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
        self._partitions = list(positions)
        self._positions = {partition.partition: offset for partition, offset in positions.items()}
        self._catch_up(self._current_models().learner, stop)
        reader = SwiftReader(self._servers, positions, GROUP)
        writer = SwiftWriter(self._servers)
        progress = Progress(self._servers)
        try:
            while self._turns(stop):
                records = reader.poll(0 if self._later else POLL_S, MAX_BATCH)
                events: list[ChangeEvent] = []
                if records:
                    progress.made()
                    self._check_topic(records)
                    events = self._score(records, writer)
                    reader.commit(records)
                elif progress.stands_still:
                    self._check_silence()
                    progress.made()
                self._learn(events, more_wait=len(records) >= MANY)
                self._current_models().learner.save_when_due()
        finally:
            if self._standstill is not None:
                self._standstill.rest()
            self._learn_no_later()
            writer.close()
            reader.close()

    def _turns(self, stop: threading.Event) -> bool:
        """Whether the loop takes another turn."""
        if self._standstill is not None:
            self._standstill.turn()
        return not stop.is_set()

    def _check_topic(self, records: Sequence[Record]) -> None:
        """See whether offsets begin anew: then they are those of another topic of the same name.

        One that is longer than the old one, when this process first reads it, is not told from that by its offsets.

        Raises:
            LabError: They do.
        """
        for record in records:
            scored = self._positions.get(record.partition, 0)
            if record.offset < scored:
                raise LabError(made_anew(TopicPartition(record.topic, record.partition), scored - 1))

    def _check_silence(self) -> None:
        """See whether nothing comes since there is nothing: else what waits would wait for ever, and nobody be told.

        Raises:
            LabError: There is more, so that only reading anew helps.
        """
        positions = {place: self._positions[place.partition] for place in self._partitions}
        if more_wait(self._servers, positions):
            raise LabError(f"{EVENTS_TOPIC} has not been handed out for {PATIENCE_S:.0f} s, though more is there")

    def _catch_up(self, learner: Learner, stop: threading.Event) -> None:
        """Learn from what is scored and was not learned, however much: a kill came first, or another engine scored."""
        if all(learner.position(partition) >= end for partition, end in self._positions.items()):
            return
        started = time.monotonic()
        with closing(CatchUp(self._servers, learner, self._partitions)) as catch_up:
            while not stop.is_set() and not catch_up.done(self._positions):
                catch_up.step(self._positions, POLL_S)
                learner.save_when_due()
        if catch_up.read:
            learner.save()  # It may have taken long: another kill must not bring all of it back.
            took_s = time.monotonic() - started
            log.info("learning has caught up with scoring: %d events in %.1f s", catch_up.read, took_s)

    def _score(self, records: Sequence[Record], writer: SwiftWriter) -> list[ChangeEvent]:
        read_ms = time.time() * 1000
        events = decode_events(records)
        models = self._current_models()
        answers = models.predict(events)
        predicted_ms = time.time() * 1000
        writer.write(
            PREDICTIONS_TOPIC,
            (
                (
                    event.partition,
                    str(event.row_id).encode(),
                    encode_prediction(_prediction(event, answer, models.version, read_ms, predicted_ms)),
                )
                for event, answer in zip(events, answers, strict=True)
            ),
        )
        self._positions |= {record.partition: record.offset + 1 for record in records}
        return events

    def _learn(self, events: Sequence[ChangeEvent], *, more_wait: bool) -> None:
        """Test, then train: by now the predictions are recorded. Where more events wait, they come first.

        Args:
            events: That are scored just now.
            more_wait: Whether others are likely to wait. What is not learned now is read from the topic again, later.
        """
        learner = self._current_models().learner
        if more_wait:
            self._later = self._later or CatchUp(self._servers, learner, self._partitions)
            self._later.rest()
        elif self._later is None:
            learner.learn(events)
        else:
            self._later.step(self._positions)
            if self._later.done(self._positions):
                log.info("many events came at once: %d were learned later", self._later.read)
                self._learn_no_later()

    def _learn_no_later(self) -> None:
        if self._later is not None:
            self._later.close()
            self._later = None

    def _current_models(self) -> Models:
        version, model = self._newest.get()
        if self._models is None or version != self._models.version:
            self._learn_no_later()  # The learner goes with its model.
            self._models = self._take_up(version, model)
            # TensorFlow's thousands of objects stay: the collector of garbage need not look at them again and again.
            gc.freeze()
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
    return Prediction.of(event, answer.probabilities, version, read_ms, predicted_ms, continual=answer.continual)
