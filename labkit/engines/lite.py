"""A model in TensorFlow Lite's form, run by LiteRT. Imported in an engine's environment, so without TensorFlow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.digits import PIXELS

CURRENT = "current"
"""The note beside the models that names the one that scores now."""

PredictBatch = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]
"""From an array of values, each 784 bytes or None, to probabilities, float32 of shape (n, 10)."""


def read_current(folder: Path) -> tuple[str, bytes]:
    """Version and content of the model that scores now.

    Args:
        folder: Written by `labkit.engines.export.export_current`.
    """
    version = (folder / CURRENT).read_text()
    return version, (folder / f"{version}.tflite").read_bytes()


def make_predict(model: bytes) -> PredictBatch:
    """A function that predicts the values of Kafka records.

    A value that is no digit gets some answer: to be ignored.
    """
    from ai_edge_litert.interpreter import Interpreter  # pyright: ignore[reportMissingImports]

    interpreter: Any = Interpreter(model_content=model, num_threads=1)
    source: int = interpreter.get_input_details()[0]["index"]
    target: int = interpreter.get_output_details()[0]["index"]
    blank = bytes(PIXELS)

    def predict(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        digits = (value if value is not None and len(value) == PIXELS else blank for value in values)
        images = np.frombuffer(b"".join(digits), np.uint8).reshape(-1, PIXELS)
        interpreter.resize_tensor_input(source, images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source, images)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return predict
