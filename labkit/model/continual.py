"""A copy of a published model that goes on learning from each labelled digit, after it has predicted it."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from labkit.digits import PIXELS
from labkit.model.inference import IMAGES, compile_predict

LEARNING_RATE = 0.001
BATCH = 8
"""New digits in one gradient step, at most; as many remembered ones join them. Few, so that a machine that is slow, and
reads many at a time, takes about as many steps for as many digits as a quick one."""
REMEMBERED = 2000
"""Digits kept for replay: 1.6 MB."""


class ContinualModel:
    """Test, then train: predictions come first, so that each is as fair a test as the frozen model's.

    A network that learned from new digits only would forget the old ones. So each gradient step mixes them with
    remembered digits, a sample of all those seen, each as likely as any other.

    Args:
        model: The model to start from. It is copied; the original is not touched.
        seed: Makes the sample repeatable.

    Source: for replay by reservoir sampling A. Chaudhry et al., "On tiny episodic memories in continual learning",
    2019; for the reservoir J. S. Vitter, "Random sampling with a reservoir", algorithm R, 1985.
    """

    def __init__(self, model: keras.Model, seed: int = 0) -> None:
        copy: Any = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        self._model = copy
        self._predict = compile_predict(copy)
        self._step = _compile_step(copy)
        self._random = np.random.default_rng(seed)
        self._images = np.zeros((REMEMBERED, PIXELS), np.uint8)
        self._labels = np.zeros(REMEMBERED, np.int32)
        self.learned = 0

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The most probable digit of each image.

        Args:
            images: Shape (n, 784).

        Returns:
            Shape (n,).
        """
        return self._predict(images).argmax(axis=1)

    def learn(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int32]) -> None:
        """One gradient step for every `BATCH` digits, each mixed with remembered ones; then remember them.

        Args:
            images: Shape (n, 784).
            labels: Shape (n,), 0 to 9.
        """
        for start in range(0, len(images), BATCH):
            new_images, new_labels = images[start : start + BATCH], labels[start : start + BATCH]
            old = self._random.integers(0, min(self.learned, REMEMBERED), BATCH if self.learned else 0)
            self._step(
                tf.constant(np.concatenate([new_images, self._images[old]])),
                tf.constant(np.concatenate([new_labels, self._labels[old]])),
            )
            for image, label in zip(new_images, new_labels, strict=True):
                self._remember(image, label)

    def _remember(self, image: npt.NDArray[np.uint8], label: np.int32) -> None:
        place = self.learned if self.learned < REMEMBERED else int(self._random.integers(0, self.learned + 1))
        if place < REMEMBERED:
            self._images[place], self._labels[place] = image, label
        self.learned += 1


def _compile_step(model: Any) -> Any:
    optimizer: Any = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(model.trainable_variables)
    loss_of: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(input_signature=[IMAGES, tf.TensorSpec((None,), tf.int32)])
    def step(images: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(tf.cast(images, tf.float32) / 255.0, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    return step
