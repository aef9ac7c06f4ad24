"""A copy of a published model that goes on learning from each labelled digit, after it has predicted it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from labkit.digits import PIXELS
from labkit.errors import LabError
from labkit.model.inference import IMAGES, compile_predict
from labkit.model.prediction import recorded

LEARNING_RATE = 0.002
BATCH = 4
"""New digits in one gradient step, always: fewer wait for the next ones. So the steps do not depend on how many digits
were read at once. Larger steps follow a drift more slowly, smaller ones take more time a digit."""
REPLAYED = 12
"""Remembered digits that join them."""
REMEMBERED = 2000
"""Digits kept for replay: 1.6 MB."""
FEW, AT_ONCE = 8, 64
"""More steps than a few are made in one call of TensorFlow, so many at once: the same steps, to the bit, in a third of
the time, most of which goes into the calls."""

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]
"""Images of shape (n, 784), and labels."""


@dataclass(frozen=True, slots=True)
class ContinualState:
    """All that decides how a continual model goes on.

    Attributes:
        arrays: By name: ``variable_0`` and on, the network's; ``optimizer_0`` and on, Adam's; ``images`` and
            ``labels``, the remembered digits; ``waiting_images`` and ``waiting_labels``, those that wait for a step.
        learned: Digits that it has made steps with.
        random: The state of numpy's bit generator.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    learned: int
    random: Mapping[str, Any]


class ContinualModel:
    """Test, then train: predictions come first, so that each is as fair a test as the frozen model's.

    A network that learned from new digits only would forget the old ones. So each gradient step mixes them with
    remembered digits, a sample of all those seen, each as likely as any other.

    It is a function of the digits and their order alone, however they are handed over: the same digits give the same
    weights, to the bit, on one machine with one TensorFlow, see `deterministic_ops`.

    Args:
        model: The model to start from. It is copied; the original is not touched.
        seed: Decides which digits are remembered and replayed, and what layers such as dropout draw.

    Source: for replay by reservoir sampling A. Chaudhry et al., "On tiny episodic memories in continual learning",
    2019; for the reservoir J. S. Vitter, "Random sampling with a reservoir", algorithm R, 1985.
    """

    def __init__(self, model: keras.Model, seed: int = 0) -> None:
        copy: Any = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        _seed_layers(copy, seed)
        optimizer: Any = keras.optimizers.Adam(LEARNING_RATE)
        optimizer.build(copy.trainable_variables)
        self._model, self._optimizer = copy, optimizer
        self._predict = compile_predict(copy)
        self._steps = _Steps(copy, optimizer)
        self._random = np.random.default_rng(seed)
        self._images = np.zeros((REMEMBERED, PIXELS), np.uint8)
        self._labels = np.zeros(REMEMBERED, np.int32)
        self._waiting_images, self._waiting_labels = self._images[:0], self._labels[:0]
        self.learned = 0

    @property
    def waiting(self) -> int:
        """Digits that wait until there are enough for a step."""
        return len(self._waiting_images)

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The most probable digit of each image.

        Args:
            images: Shape (n, 784).

        Returns:
            Shape (n,).
        """
        return np.argmax(recorded(self._predict(images)), axis=1)

    def learn(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32]) -> None:
        """One gradient step for every `BATCH` digits, each mixed with remembered ones; then remember them.

        Args:
            images: Shape (n, 784).
            labels: Shape (n,), 0 to 9.
        """
        images = np.concatenate([self._waiting_images, images])
        labels = np.concatenate([self._waiting_labels, labels])
        whole = len(images) - len(images) % BATCH
        # Which digits are remembered and replayed depends on no weight: the batches can be laid out before the steps.
        batches = [
            self._lay_out(images[start : start + BATCH], labels[start : start + BATCH])
            for start in range(0, whole, BATCH)
        ]
        if len(batches) > FEW:
            alike = [batch for batch in batches if len(batch[1]) == BATCH + REPLAYED]
            for batch in batches[: len(batches) - len(alike)]:  # The very first one has nothing to replay.
                self._steps.one(*batch)
            for start in range(0, len(alike), AT_ONCE):
                self._steps.many(*map(np.stack, zip(*alike[start : start + AT_ONCE], strict=True)))
        else:
            for batch in batches:
                self._steps.one(*batch)
        self._waiting_images, self._waiting_labels = images[whole:].copy(), labels[whole:].copy()

    def _lay_out(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32]) -> Batch:
        """The next step's digits, with those that are replayed; then remember the new ones."""
        old = self._random.integers(0, min(self.learned, REMEMBERED), REPLAYED if self.learned else 0)
        batch = np.concatenate([images, self._images[old]]), np.concatenate([labels, self._labels[old]])
        for image, label in zip(images, labels, strict=True):
            self._remember(image, label)
        return batch

    def _remember(self, image: npt.NDArray[np.uint8], label: np.int32) -> None:
        place = self.learned if self.learned < REMEMBERED else int(self._random.integers(0, self.learned + 1))
        if place < REMEMBERED:
            self._images[place], self._labels[place] = image, label
        self.learned += 1

    @property
    def state(self) -> ContinualState:
        """How it is now: a copy, which later steps do not change."""
        remembered = min(self.learned, REMEMBERED)
        digits = {
            "images": self._images[:remembered].copy(),
            "labels": self._labels[:remembered].copy(),
            "waiting_images": self._waiting_images,
            "waiting_labels": self._waiting_labels,
        }
        values = {name: np.array(variable) for name, variable in self._variables().items()}
        return ContinualState(values | digits, self.learned, self._random.bit_generator.state)

    def restore(self, state: ContinualState) -> None:
        """Go on as a model that was in this state. Nothing is changed when it does not fit.

        Raises:
            LabError: It is the state of a model of another shape, or of another random generator.
        """
        variables, arrays = self._variables(), state.arrays
        wanted = {name: (tuple(variable.shape), variable.dtype) for name, variable in variables.items()}
        remembered, waiting = min(state.learned, REMEMBERED), len(arrays.get("waiting_labels", ()))
        wanted |= {"images": ((remembered, PIXELS), "uint8"), "labels": ((remembered,), "int32")}
        wanted |= {"waiting_images": ((waiting, PIXELS), "uint8"), "waiting_labels": ((waiting,), "int32")}
        found = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
        if found != wanted:
            other = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
            raise LabError(
                f"it is of a model of another shape: {other[0]} is {_told(found.get(other[0]))}, "
                f"the published model's is {_told(wanted.get(other[0]))}"
            )
        try:
            self._random.bit_generator.state = state.random
        except (ValueError, TypeError, KeyError) as error:
            raise LabError(f"it has another random generator: {error}") from error
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self._images[:remembered], self._labels[:remembered] = arrays["images"], arrays["labels"]
        self._waiting_images, self._waiting_labels = arrays["waiting_images"], arrays["waiting_labels"]
        self.learned = state.learned

    def _variables(self) -> dict[str, Any]:
        """The network's variables, with the states of its random layers, and the optimizer's."""
        groups = {"variable": self._model.variables, "optimizer": self._optimizer.variables}
        return {f"{name}_{i}": variable for name, group in groups.items() for i, variable in enumerate(group)}


def deterministic_ops() -> None:
    """Have TensorFlow take kernels whose results do not depend on how threads come to run; for the whole process.

    To be called before the first model is made. The seed is for layers that draw without one of their own.
    """
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()


def _seed_layers(model: Any, seed: int) -> None:
    """Layers such as dropout have a random state, which is no weight: Keras would draw it anew for each copy."""
    weights = {id(weight) for weight in model.weights}
    states = [variable for variable in model.variables if id(variable) not in weights]
    for number, variable in enumerate(states):
        variable.assign(np.full(variable.shape, seed + number, variable.dtype))


def _told(shape: tuple[Any, str] | None) -> str:
    return "missing" if shape is None else f"{shape[1]} of shape {shape[0]}"


class _Steps:
    """Gradient steps on a model, compiled."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        loss_of: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

        def step(images: tf.Tensor, labels: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                loss = loss_of(labels, model(tf.cast(images, tf.float32) / 255.0, training=True))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

        @tf.function(input_signature=[IMAGES, tf.TensorSpec((None,), tf.int32)])
        def one(images: tf.Tensor, labels: tf.Tensor) -> None:
            step(images, labels)

        @tf.function(
            input_signature=[tf.TensorSpec((None, None, PIXELS), tf.uint8), tf.TensorSpec((None, None), tf.int32)]
        )
        def many(images: tf.Tensor, labels: tf.Tensor) -> None:
            for number in tf.range(tf.shape(images)[0]):
                step(images[number], labels[number])

        self.one: Any = one
        self.many: Any = many
