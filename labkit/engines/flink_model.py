"""The model in Flink's Python workers."""

import time
from pathlib import Path

import numpy as np

from labkit.engines.lite import CURRENT, PredictBatch, make_predict, read_current
from labkit.model.prediction import recorded

LOOK_S = 0.5
"""Between two looks whether a newer model was published."""


class CurrentModel:
    """Predicts with the model that is current, and takes up a newer one by itself.

    Args:
        folder: Written by `labkit.engines.export.export_current`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked_at = float("-inf")
        self.version = ""
        self._predict: PredictBatch | None = None

    def predict(self, pixels: bytes) -> tuple[float, ...]:
        """Ten probabilities as they are recorded, digit 0 first, of one image of 784 bytes."""
        if self._predict is None or time.monotonic() - self._looked_at > LOOK_S:
            self._look()
        assert self._predict is not None
        return recorded(self._predict(np.array([pixels], object)))[0]

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        if self._predict is None or (self._folder / CURRENT).read_text() != self.version:
            self.version, model = read_current(self._folder)
            self._predict = make_predict(model)
