"""The iris flowers: 150 rows, the eleven test rows that the talk's example published, and seeded splits of the rest.

R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7 (1936).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.errors import LabError

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
"""The columns, in centimetres."""
CLASSES = ("setosa", "versicolor", "virginica")
"""What the labels 0, 1 and 2 mean."""

TEST_ROWS: tuple[tuple[float, float, float, float, int], ...] = (
    (5.4, 3.7, 1.5, 0.2, 0),
    (4.8, 3.4, 1.6, 0.2, 0),
    (7.6, 3.0, 6.6, 2.1, 2),
    (6.4, 2.8, 5.6, 2.2, 2),
    (6.0, 2.7, 5.1, 1.6, 1),
    (5.4, 3.0, 4.5, 1.5, 1),
    (6.7, 3.1, 4.7, 1.5, 1),
    (5.5, 2.4, 3.8, 1.1, 1),
    (6.1, 2.8, 4.7, 1.2, 1),
    (4.3, 3.0, 1.1, 0.1, 0),
    (5.8, 2.7, 3.9, 1.2, 1),
)
"""The example's test rows: its split was random and unseeded, but it printed these. The last column is the class."""


@dataclass(frozen=True, slots=True, eq=False)
class Flowers:
    """Some flowers.

    Attributes:
        features: Centimetres in the order of `FEATURES`, float64 of shape (n, 4).
        labels: Class 0, 1 or 2 of each, int64 of shape (n,).
    """

    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.int64]) -> "Flowers":
        """Those at these places, in this order."""
        return Flowers(self.features[rows], self.labels[rows])


@dataclass(frozen=True, slots=True)
class Split:
    """The flowers as the example inserts them.

    Attributes:
        first: The first 1 % of the training rows.
        rest: The other training rows.
        test: The eleven that were published.
    """

    first: Flowers
    rest: Flowers
    test: Flowers


def load_flowers() -> Flowers:
    """All 150, in the order of scikit-learn's bundled copy. Needs scikit-learn."""
    from sklearn.datasets import load_iris

    bundled: Any = load_iris()
    return Flowers(np.asarray(bundled.data, np.float64), np.asarray(bundled.target, np.int64))


def hold_out(flowers: Flowers, rows: Sequence[tuple[float, ...]] = TEST_ROWS) -> tuple[Flowers, Flowers]:
    """Take test rows out of the flowers.

    One flower is taken out for each test row, the first that is equal to it and not yet taken. None of the published
    eleven has a twin: the only two equal rows are both (5.8, 2.7, 5.1, 1.9) of class 2, and stay in training together.

    Args:
        flowers: All of them.
        rows: Features and class of each test row.

    Returns:
        The flowers that are left, and the test rows in the order in which they were given.

    Raises:
        LabError: A test row is not among the flowers.
    """
    wanted = np.asarray(rows, np.float64)
    table = np.column_stack([flowers.features, flowers.labels])
    taken: list[int] = []
    for row in wanted:
        places = [int(place) for place in np.flatnonzero((table == row).all(axis=1)) if place not in taken]
        if not places:
            raise LabError(f"the test row {row.tolist()} is none of the flowers", "take one that load_flowers() has")
        taken.append(places[0])
    left = np.setdiff1d(np.arange(len(flowers)), taken)
    return flowers.take(left), flowers.take(np.array(taken))


def split(flowers: Flowers, seed: int) -> Split:
    """Hold the published rows out, shuffle the rest by a seed and cut off its first 1 %.

    The first 1 % of 139 rows is one row: the example cuts with scikit-learn's ``train_test_split(test_size=0.99)``,
    which rounds the larger part up.
    """
    training, test = hold_out(flowers)
    order = np.random.default_rng(seed).permutation(len(training))
    first = len(training) - int(np.ceil(0.99 * len(training)))
    return Split(training.take(order[:first]), training.take(order[first:]), test)
