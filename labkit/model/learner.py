"""Learning from change events: which of them, where it is in the topic, and how it outlives its process."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import numpy.typing as npt

from labkit.capture.event import ChangeEvent
from labkit.digits import PIXELS
from labkit.errors import LabError
from labkit.model.checkpoint import Checkpoint, CheckpointFile, fingerprint
from labkit.model.continual import ContinualModel

log = logging.getLogger(__name__)

SAVE_EVERY_S = 10.0
"""How much learning may have to be done again after a kill. A checkpoint is at most 3 MB."""

Offsets = Mapping[int, int]
"""Of the events topic, by partition."""


class Learner:
    """A continual model that reads each change event once and learns from those that have an image and a label.

    What it has learned is a function of the published model, of where in the topic that was taken up, and of the topic:
    a learner that was killed and goes on from its checkpoint ends with the same weights as one that never was. This
    holds for the order in which events come, which for one partition is that of the topic. The lab's events have one
    partition. With several, each is read in its own order, but how they interleave is up to Kafka.

    Args:
        model: The published model.
        version: Its version.
        topic: The id of the events topic.
        file: Where the checkpoint is. One that does not fit is set aside, with a line in the log, and it begins anew.
        start: Asked for where to begin, when there is no checkpoint to go on from.
    """

    def __init__(
        self, model: keras.Model, version: str, topic: str, file: CheckpointFile, start: Callable[[], Offsets]
    ) -> None:
        self._model = ContinualModel(model)
        self._version, self._published, self._topic = version, fingerprint(model.get_weights()), topic
        self._file = file
        self._saved_s = time.monotonic()
        self._trouble = ""
        checkpoint = self._load()
        if checkpoint is None:
            self._began: dict[int, int] = dict(start())
            self._positions = dict(self._began)
            log.info("learning begins with model %s at offsets %s", version, self._began)
            # Before the first step: where this model was taken up must not be forgotten.
            self._changed = True
            self.save()
        else:
            self._began, self._positions = dict(checkpoint.began), dict(checkpoint.positions)
            log.info(
                "learning goes on from a checkpoint: model %s, %d digits, offsets %s",
                version,
                checkpoint.state.learned,
                self._positions,
            )
            self._changed = False

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The most probable digit of each image, uint8 of shape (n, 784)."""
        return self._model.predict(images)

    def position(self, partition: int) -> int:
        """Offset of the next event of a partition that it has not read."""
        return self._positions.get(partition, 0)

    def learn(self, events: Sequence[ChangeEvent]) -> int:
        """Read events in their order, passing over those read before. Returns how many of them it had not read."""
        new = [event for event in events if event.offset >= self.position(event.partition)]
        if new:
            labels = [event.label for event in new if event.pixels is not None and event.label is not None]
            images = [event.pixels for event in new if event.pixels is not None and event.label is not None]
            self._model.learn(stack_images(images), np.array(labels, np.int32))
            self._positions |= {event.partition: event.offset + 1 for event in new}
            self._changed = True
        return len(new)

    def save_when_due(self) -> None:
        """Write a checkpoint if something was learned and the last one is `SAVE_EVERY_S` old."""
        if time.monotonic() - self._saved_s >= SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write a checkpoint, unless nothing was read since the last one. That it cannot be written is logged."""
        self._saved_s = time.monotonic()
        if not self._changed:
            return
        try:
            self._file.save(
                Checkpoint(self._version, self._published, self._topic, self._began, self._positions, self._model.state)
            )
        except OSError as error:
            self._warn(f"no checkpoint of what was learned can be written: {error}; scoring goes on")
        else:
            self._changed, self._trouble = False, ""

    def _warn(self, trouble: str) -> None:
        """Once for each trouble: a disk stays full for long."""
        if trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble

    def _load(self) -> Checkpoint | None:
        """Take over the checkpoint; None where there is none that fits."""
        try:
            checkpoint = self._file.load()
            if checkpoint is None:
                return None
            if checkpoint.version != self._version:
                log.info("the checkpoint is of model %s, and %s scores now", checkpoint.version, self._version)
                return None
            self._check(checkpoint)
            self._model.restore(checkpoint.state)
        except LabError as error:
            log.warning(
                "the checkpoint %s is not used: %s; learning begins anew from model %s",
                self._file.path,
                error.problem,
                self._version,
            )
            self._set_aside()
            return None
        return checkpoint

    def _check(self, checkpoint: Checkpoint) -> None:
        if checkpoint.published != self._published:
            raise LabError(f"it began from another model {self._version}")
        if checkpoint.topic != self._topic:
            raise LabError("it is of another events topic, of the same name")

    def _set_aside(self) -> None:
        try:
            self._file.set_aside()
        except OSError as error:
            self._warn(f"the checkpoint that is not used cannot be moved away: {error}")


def stack_images(pixels: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Rows' pixels, 784 bytes each, as an array of shape (n, 784)."""
    return np.frombuffer(b"".join(pixels), np.uint8).reshape(-1, PIXELS)
