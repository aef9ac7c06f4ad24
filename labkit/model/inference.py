"""Predicting with a compiled network: a hundred times quicker for one image than ``model.predict``."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from labkit.digits import PIXELS

Predict = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""From images, uint8 of shape (n, 784), to probabilities, float32 of shape (n, 10)."""

IMAGES = tf.TensorSpec((None, PIXELS), tf.uint8)


def single_thread() -> None:
    """Have TensorFlow work in the calling thread alone; for the whole process, before its first operation.

    The networks here are so small that handing parts of a step from thread to thread costs more than it gains: learning
    a digit takes less than half the processor time so, see ``python -m benchmarks.learning``.

    Raises:
        RuntimeError: TensorFlow has begun to work already.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def compile_predict(model: keras.Model) -> Predict:
    """Compile a network once with ``tf.function``. Weights that change later are used as they are then.

    Args:
        model: Takes (n, 784) float32, pixels divided by 255, and gives (n, 10) logits.
    """
    network: Any = model

    @tf.function(input_signature=[IMAGES])
    def probabilities(images: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(network(tf.cast(images, tf.float32) / 255.0))

    def predict(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return probabilities(tf.constant(images)).numpy()

    # Trace and warm up now, not on the first digit somebody waits for.
    predict(np.zeros((1, PIXELS), np.uint8))
    return predict
