"""The talk's network: 784 pixels, one hidden layer of 128, ten logits."""

import keras
import tensorflow as tf

from labkit.digits import PIXELS

CLASSES = 10


def build_network(seed: int | None = None) -> keras.Sequential:
    """The talk's network, compiled as in the talk.

    Input: float32 of shape (n, 784), pixels divided by 255. Output: logits of shape (n, 10).

    Args:
        seed: Makes the initial weights and the shuffling repeatable.

    Source: the example behind the FOSDEM 2024 talk, debezium-examples, machine-learning/tensorflow-mnist.
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((PIXELS,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(CLASSES),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    return model


def decode_csv_record(message: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The talk's decode function: a CSV record and its key to an image and a label.

    Args:
        message: Scalar string, 784 numbers from 0 to 255 with commas between.
        key: Scalar string, the label.

    Returns:
        float32 of shape (784,) from 0 to 1, and the label as int32.
    """
    columns = tf.io.decode_csv(message, [[0.0] for _ in range(PIXELS)])
    image = tf.cast(columns, tf.float32) / 255.0
    label = tf.strings.to_number(key, out_type=tf.dtypes.int32)
    return image, label


def decode_csv_batch(messages: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`decode_csv_record` for a batch of records, which is several times quicker than one after the other.

    Args:
        messages: Strings, shape (n,).
        keys: Strings, shape (n,).

    Returns:
        float32 of shape (n, 784) from 0 to 1, and the labels as int32 of shape (n,).
    """
    columns = tf.io.decode_csv(messages, [[0.0] for _ in range(PIXELS)])
    return tf.stack(columns, axis=1) / 255.0, tf.strings.to_number(keys, out_type=tf.dtypes.int32)
