"""Streaming k-means in several ways: the example's, and what may beat it. All learn by the same rule."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from labkit.online.iris import CLASSES
from labkit.online.kmeans import Array, Clusters, check_points, learn, make_clusters, nearest
from labkit.online.learner import START_CENTRES
from labkit.online.starts import farthest_points, plus_plus_points

Starts = Literal["example", "farthest", "k-means++"]
COUNT = len(CLASSES)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to cluster a stream.

    Attributes:
        name: For tables and pictures.
        starts: The example's three centres, or three of the first points.
        first: Of how many of the first points; until they have come, all points are one cluster.
        weight: How many points each start counts as.
        decay: What a past point still counts.
        scaled: Whether distances are taken after dividing by the standard deviations of the points learned so far.
    """

    name: str
    starts: Starts = "example"
    first: int = 10
    weight: float = 0.0
    decay: float = 1.0
    scaled: bool = False


EXAMPLE = Recipe("the example's")
RECIPES = (
    EXAMPLE,
    Recipe("scaled", scaled=True),
    Recipe("decay 0.99 a row", decay=0.99),
    Recipe("decay 0.95 a row", decay=0.95),
    Recipe("starts that count as one row each", weight=1.0),
    Recipe("starts: k-means++ of the first 10", starts="k-means++"),
    Recipe("starts: farthest of the first 10", starts="farthest"),
    Recipe("starts: farthest of the first 20", starts="farthest", first=20),
    Recipe("starts: farthest of the first 10, scaled", starts="farthest", scaled=True),
    Recipe("starts: farthest of the first 10, decay 0.99", starts="farthest", decay=0.99),
)


class OnlineKMeans:
    """Streaming k-means by a recipe.

    Args:
        recipe: How.
        seed: For starts that are drawn.
    """

    def __init__(self, recipe: Recipe, seed: int = 0) -> None:
        self._recipe, self._random = recipe, np.random.default_rng(seed)
        self._seen = np.empty((0, len(START_CENTRES[0])))
        # How many, their mean, and the sum of the squares of their distances from it.
        self._count, self._mean, self._spread = 0, np.zeros(self._seen.shape[1]), np.zeros(self._seen.shape[1])
        self._clusters: Clusters | None = None
        if recipe.starts == "example":
            self._clusters = make_clusters(START_CENTRES, [recipe.weight] * COUNT)

    @property
    def clusters(self) -> Clusters | None:
        """Centres in centimetres; None before there are any."""
        return self._clusters

    def learn(self, points: npt.ArrayLike) -> None:
        """Learn a mini-batch, shape (n, 4).

        Raises:
            LabError: It is not of that shape, or not finite.
        """
        rows = check_points(points, self._seen.shape[1])
        self._note_spread(rows)
        if self._clusters is None:
            self._seen = rows = np.concatenate([self._seen, rows])
            if len(rows) < self._recipe.first:
                return
            starts = self._choose(rows[: self._recipe.first] / self._scale) * self._scale
            self._clusters = make_clusters(starts, [self._recipe.weight] * COUNT)
        scaled = Clusters(self._clusters.centres / self._scale, self._clusters.weights)
        learned = learn(scaled, rows / self._scale, self._recipe.decay, "points")
        # The mean of scaled points is the scaled mean: centres can stay in centimetres while the scale goes on.
        self._clusters = Clusters(learned.centres * self._scale, learned.weights)

    def nearest(self, points: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The cluster of each point; 0 while there are no centres.

        Raises:
            LabError: The points are not of shape (n, 4), or not finite.
        """
        rows = check_points(points, self._seen.shape[1])
        if self._clusters is None:
            return np.zeros(len(rows), np.int64)
        return nearest(Clusters(self._clusters.centres / self._scale, self._clusters.weights), rows / self._scale)

    @property
    def _scale(self) -> Array:
        """By what each coordinate is divided: its standard deviation, 1 where there is none yet."""
        if not self._recipe.scaled or self._count < 2:
            return np.ones_like(self._mean)
        deviation = np.sqrt(self._spread / self._count)
        return np.where(deviation > 0, deviation, 1.0)

    def _note_spread(self, rows: Array) -> None:
        # B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4
        # (1962).
        for row in rows:
            self._count += 1
            before = row - self._mean
            self._mean = self._mean + before / self._count
            self._spread = self._spread + before * (row - self._mean)

    def _choose(self, points: Array) -> Array:
        if self._recipe.starts == "farthest":
            return farthest_points(points, COUNT)
        return plus_plus_points(points, COUNT, self._random)
