"""Training and evaluating the talk's network on Kafka topics."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from labkit.digits import PIXELS
from labkit.errors import LabError
from labkit.model.network import build_network, decode_csv_batch
from labkit.settings import BYTES_PREFIX, CSV_PREFIX, TEST_TABLE, TRAIN_TABLE, table_topic
from labkit.stream.rows import read_rows
from labkit.stream.tensors import group_dataset

BATCH_SIZE = 64
EPOCHS = 30
EPOCHS_A_LINE = 10
STEPS_AT_ONCE = 64
DECODED_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Training:
    """What came of a training.

    Attributes:
        model: The trained network.
        digits: Training digits read from the topic.
        seconds: From the first read to the last epoch's end.
        accuracy: Share of the last epoch's training digits that were right.
    """

    model: keras.Sequential
    digits: int
    seconds: float
    accuracy: float


def train_from_topic(
    servers: str,
    *,
    epochs: int = EPOCHS,
    seed: int | None = None,
    verbose: Any = 0,
    report: Callable[[str], object] | None = None,
) -> Training:
    """Train the talk's network by reading the CSV route's training topic through tensorflow-io, as the talk does.

    Args:
        servers: Kafka's bootstrap servers.
        epochs: How often each digit is learned from.
        seed: Makes the training repeatable.
        verbose: What Keras itself shows, see `keras.Model.fit`.
        report: Told how far it is, a line every `EPOCHS_A_LINE` epochs.

    Raises:
        LabError: The topic is missing, or the broker is away.
    """
    started = time.monotonic()
    # Before the dataset: setting a seed clears TensorFlow's kernel cache, and with it tensorflow-io's consumer.
    model = build_network(seed)
    records = group_dataset(servers, table_topic(CSV_PREFIX, TRAIN_TABLE))
    # A stream can be read once; the cache keeps it for the epochs after the first.
    count = int(records.cardinality())
    decoded = records.batch(DECODED_AT_ONCE).map(decode_csv_batch).unbatch()
    digits = decoded.apply(tf.data.experimental.assert_cardinality(count)).cache()
    accuracy = _fit(model, _batches(digits, seed), epochs, verbose, report)
    return Training(model, count, time.monotonic() - started, accuracy)


def train_from_rows(
    servers: str,
    rows: int = 0,
    *,
    epochs: int = EPOCHS,
    seed: int | None = None,
    verbose: Any = 0,
    report: Callable[[str], object] | None = None,
) -> Training:
    """Train the talk's network on the training table as the bytes route's topic tells it, read by librdkafka.

    Nothing is written as text and read again. And what was relabelled or deleted is learned as the topic tells of it by
    then: the csv route has no row id, so that nobody can tell there.

    Args:
        servers: Kafka's bootstrap servers.
        rows: Wait until the topic tells of so many rows; see `labkit.stream.rows.read_rows`.
        epochs: How often each digit is learned from.
        seed: Makes the training repeatable.
        verbose: What Keras itself shows, see `keras.Model.fit`.
        report: Told how far it is, a line every `EPOCHS_A_LINE` epochs.

    Raises:
        LabError: The topic is missing, stands still or tells of no digit, or the broker is away.
    """
    started = time.monotonic()
    model = build_network(seed)
    topic = table_topic(BYTES_PREFIX, TRAIN_TABLE)
    found = read_rows(servers, topic, rows)
    if not len(found):
        raise LabError(f"topic {topic} tells of no labelled digit", "lab.load_digits()")
    # As bytes up to each batch: as float32 it would be four times the memory, and a second to copy for 60,000 digits.
    pixels = tf.data.Dataset.from_tensor_slices((found.images.reshape(-1, PIXELS), found.labels))
    accuracy = _fit(model, _batches(pixels, seed).map(_scaled), epochs, verbose, report)
    return Training(model, len(found), time.monotonic() - started, accuracy)


def _batches(digits: tf.data.Dataset, seed: int | None) -> tf.data.Dataset:
    return digits.shuffle(10_000, seed=seed).batch(BATCH_SIZE)


def _scaled(pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """From uint8 of shape (n, 784) to float32 from 0 to 1, and labels as int32 of shape (n,)."""
    return tf.cast(pixels, tf.float32) / 255.0, tf.cast(labels, tf.int32)


def _fit(
    model: keras.Sequential,
    batches: tf.data.Dataset,
    epochs: int,
    verbose: Any,
    report: Callable[[str], object] | None,
) -> float:
    """Train on batches of known number; returns the last epoch's share of right ones."""
    # Steps of so small a network are shorter than what Keras does between two. The weights are the same, to the bit.
    model.steps_per_execution = STEPS_AT_ONCE
    history = model.fit(
        batches,
        epochs=epochs,
        shuffle=False,
        verbose=verbose,
        callbacks=[_telling(report, epochs)] if report else [],
    )
    return float(history.history["sparse_categorical_accuracy"][-1])


def _telling(report: Callable[[str], object], epochs: int) -> keras.callbacks.Callback:
    """Tell how far a training is."""

    def tell(epoch: int, logs: dict[str, float]) -> None:
        if (epoch + 1) % EPOCHS_A_LINE == 0:
            right = logs["sparse_categorical_accuracy"]
            report(f"training: {epoch + 1} of {epochs} epochs, {right:.1%} of the training digits right")

    return keras.callbacks.LambdaCallback(on_epoch_end=tell)


def evaluate_on_topic(model: keras.Model, servers: str) -> float:
    """Accuracy of a model on the CSV route's test topic, as it stands now.

    Raises:
        LabError: The topic is missing, or the broker is away.
    """
    records = group_dataset(servers, table_topic(CSV_PREFIX, TEST_TABLE))
    digits = records.batch(BATCH_SIZE).map(decode_csv_batch)
    quiet: Any = 0
    _loss, accuracy = model.evaluate(digits, verbose=quiet)
    return float(accuracy)
