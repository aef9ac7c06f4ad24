"""What the two processes have in common that evaluate the network on a topic."""

import time
from typing import Any

import keras
import tensorflow as tf

from benchmarks.ways.child import BATCH, Where, tell
from labkit.model.store import ModelStore


def published_model(place: Where) -> keras.Model:
    """The network, compiled to be evaluated, as it is in the talk."""
    store = ModelStore(place.models)
    model: Any = store.load(store.current_version() or "")
    loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, metrics=["sparse_categorical_accuracy"])
    return model


def evaluate(model: keras.Model, dataset: tf.data.Dataset) -> None:
    """Evaluate, without end, and say how many rows were seen."""

    def seen(batch: int, logs: Any) -> None:
        del logs
        tell(rows=(batch + 1) * BATCH, at=time.time())

    quiet: Any = 0
    tell(rows=0, at=time.time())
    model.evaluate(dataset, verbose=quiet, callbacks=[keras.callbacks.LambdaCallback(on_test_batch_end=seen)])
