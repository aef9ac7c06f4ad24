"""A published model in TensorFlow Lite's form: small, quick to start, and readable without TensorFlow.

An engine's environment has no TensorFlow. LiteRT, its runtime, runs the same network there.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from labkit.digits import PIXELS
from labkit.engines.lite import CURRENT
from labkit.model.store import ModelStore


def export_current(store: ModelStore, folder: Path) -> str | None:
    """Write the model that scores now to a folder, unless it is there, and note there that it is the current one.

    Args:
        store: Where models are published.
        folder: Gets ``v1.tflite`` and the like, and the note; made when needed. A reader sees the old note or the new.

    Returns:
        Its version; None before the first was published.

    Raises:
        LabError: The model cannot be loaded.
    """
    version = store.current_version()
    if version is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{version}.tflite"
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        if not file.is_file():
            written = Path(staging, "model")
            written.write_bytes(convert(store, version))
            os.replace(written, file)
        note = Path(staging, CURRENT)
        note.write_text(version)
        os.replace(note, folder / CURRENT)
    return version


def convert(store: ModelStore, version: str) -> bytes:
    """A published model as TensorFlow Lite: from images, uint8 (n, 784), to probabilities, float32 (n, 10).

    Raises:
        LabError: The model cannot be loaded.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    network = store.load(version)

    @tf.function(input_signature=[tf.TensorSpec((None, PIXELS), tf.uint8)])
    def probabilities(images: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(network(tf.cast(images, tf.float32) / 255.0))

    # With the weights as variables the converter of TensorFlow 2.17 aborts the whole process.
    concrete: Any = probabilities
    frozen = convert_variables_to_constants_v2(concrete.get_concrete_function())
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
