"""Digits to insert, as many as a benchmark wants."""

import numpy as np

from labkit.digits import Digits, load_digits


def some_digits(count: int) -> Digits:
    """The bundled training digits, as often as it takes."""
    bundled = load_digits("bundled", "train")
    repeated = np.resize(np.arange(len(bundled.labels)), count)
    return Digits(bundled.images[repeated], bundled.labels[repeated], "bundled, repeated")
