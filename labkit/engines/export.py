"""A published model in TensorFlow Lite's form: small, quick to start, and readable without TensorFlow.

An engine's environment has no TensorFlow. LiteRT, its runtime, runs the same network there.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from labkit.digits import PIXELS
from labkit.engines.lite import CURRENT
from labkit.errors import LabError


def current_version(models: Path) -> str | None:
    """The model that scores now, read from its note, without loading TensorFlow; None before the first."""
    try:
        return (models / CURRENT).read_text()
    except FileNotFoundError:
        return None


def portable_file(folder: Path, version: str) -> Path:
    """A version of the model in portable form."""
    return folder / f"{version}.tflite"


def note_current(folder: Path, version: str) -> None:
    """Note which version scores now. A reader sees the old note or the new."""
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        note = Path(staging, CURRENT)
        note.write_text(version)
        os.replace(note, folder / CURRENT)


def export_current(models: Path, folder: Path) -> str:
    """Write the published model that scores now to a folder, unless it is there, and note there that it is current.

    Args:
        models: Folder of a `labkit.model.store.ModelStore`.
        folder: Gets ``v1.tflite`` and the like, and the note; made when needed. A reader sees the old note or the new.

    Returns:
        Its version.

    Raises:
        LabError: The model cannot be loaded, or none was published.
    """
    version = current_version(models)
    if version is None:
        raise LabError("there is no model to score with", "lab.publish(model), or: labkit train")
    folder.mkdir(parents=True, exist_ok=True)
    file = portable_file(folder, version)
    if not file.is_file():
        with tempfile.TemporaryDirectory(dir=folder) as staging:
            written = Path(staging, "model")
            written.write_bytes(convert(models, version))
            os.replace(written, file)
    note_current(folder, version)
    return version


def convert(models: Path, version: str) -> bytes:
    """A published model as TensorFlow Lite: from images, uint8 (n, 784), to probabilities, float32 (n, 10).

    Raises:
        LabError: The model cannot be loaded.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from labkit.model.store import ModelStore

    network = ModelStore(models).load(version)

    @tf.function(input_signature=[tf.TensorSpec((None, PIXELS), tf.uint8)])
    def probabilities(images: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(network(tf.cast(images, tf.float32) / 255.0))

    # With the weights as variables the converter of TensorFlow 2.17 aborts the whole process.
    concrete: Any = probabilities
    frozen = convert_variables_to_constants_v2(concrete.get_concrete_function())
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
