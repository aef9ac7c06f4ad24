"""Streaming k-means: the rule by which Spark's StreamingKMeans learns, as one value and two pure functions of it.

https://spark.apache.org/docs/latest/mllib-clustering.html#streaming-k-means, and for what that leaves open the source,
mllib/src/main/scala/org/apache/spark/mllib/clustering/StreamingKMeans.scala. The mini-batch rule itself is that of
D. Sculley, "Web-scale k-means clustering", WWW 2010.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from labkit.errors import LabError

Unit = Literal["batches", "points"]
"""What the decay counts: mini-batches, or the points in them."""
DYING = 1e-8
"""A cluster whose weight is below this share of the largest one's is dying."""
NUDGE = 1e-14
"""By which share of a coordinate, or of 1 where it is less, the two halves of a split cluster part."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Centres and their weights.

    Attributes:
        centres: float64 of shape (k, d), finite.
        weights: How many points each stands for, after decay; float64 of shape (k,), finite and not negative.

    Raises:
        LabError: One of them is not of that form.
    """

    centres: Array
    weights: Array

    def __post_init__(self) -> None:
        if self.centres.ndim != 2 or 0 in self.centres.shape:
            raise LabError(f"centres of shape {self.centres.shape} are no (clusters, features)", "such as (3, 4)")
        if self.weights.shape != self.centres.shape[:1]:
            raise LabError(
                f"{len(self.centres)} centres with weights of shape {self.weights.shape}", "one weight for each centre"
            )
        if not (np.isfinite(self.centres).all() and np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise LabError("centres and weights must be finite numbers, weights not negative", "look for NaN")


def make_clusters(centres: npt.ArrayLike, weights: npt.ArrayLike) -> Clusters:
    """Clusters of anything that NumPy takes.

    Raises:
        LabError: They are no numbers, or not of the form of `Clusters`.
    """
    try:
        return Clusters(np.array(centres, np.float64), np.array(weights, np.float64))
    except (TypeError, ValueError) as error:
        raise LabError(f"no centres and weights: {error}", "give numbers, as many in each row") from error


def check_points(points: npt.ArrayLike, features: int) -> Array:
    """Points as float64 of shape (n, features); none at all are points, too.

    Raises:
        LabError: They are not of that shape, or not all finite.
    """
    try:
        found = np.asarray(points, np.float64)
    except (TypeError, ValueError) as error:
        raise LabError(f"no points: {error}", f"give {features} numbers for each") from error
    if found.size == 0 and found.ndim <= 2:
        return np.empty((0, features))
    if found.ndim != 2 or found.shape[1] != features:
        raise LabError(f"points of shape {found.shape}", f"the shape must be (points, {features})")
    if not np.isfinite(found).all():
        raise LabError("a point has a coordinate that is no finite number", "look for NaN and infinity")
    return found


def nearest(clusters: Clusters, points: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The cluster of each point: the one with the nearest centre, the first of several.

    Args:
        clusters: k clusters in d dimensions.
        points: Shape (n, d).

    Returns:
        Numbers from 0 to k - 1, shape (n,).

    Raises:
        LabError: The points are not of that shape, or not finite.
    """
    rows = check_points(points, clusters.centres.shape[1])
    squares = np.zeros((len(rows), len(clusters.centres)))
    # One coordinate after the other, as Spark adds them: the halves of a split cluster are so close that the order of
    # the additions decides between them.
    for centre, column in zip(clusters.centres.T, rows.T, strict=True):
        squares += (column[:, None] - centre[None, :]) ** 2
    return squares.argmin(axis=1)


def learn(clusters: Clusters, points: npt.ArrayLike, decay: float = 1.0, unit: Unit = "batches") -> Clusters:
    """Learn a mini-batch: each centre becomes the weighted mean of itself and of the points that are nearest to it.

    With a cluster's centre c and weight n, and m points of mean x nearest to it, and decay a, per mini-batch or, to the
    power of how many points it has, per point::

        n' = n a + m        c' = (c n a + x m) / n'

    Then the smallest cluster, where it is dying, takes over one half of the largest: both get the mean of the two
    weights, and the centre of the largest, moved a hair to either side. So a start with weight 0 that no point of the
    first mini-batch is nearest to is given up there and then.

    Args:
        clusters: k clusters in d dimensions.
        points: The mini-batch, shape (n, d).
        decay: What a past unit still counts: 1 for all of it, 0 for nothing.
        unit: What the decay counts.

    Returns:
        The clusters after it.

    Raises:
        LabError: The points are not of that shape or not finite, or there is no such decay or unit.
    """
    if not 0 <= decay <= 1:
        raise LabError(f"a decay of {decay} is none", "from 0 (only the newest counts) to 1 (all counts)")
    if unit not in get_args(Unit):
        raise LabError(f"a decay does not count {unit!r}", "batches or points")
    rows = check_points(points, clusters.centres.shape[1])
    labels = nearest(clusters, rows)
    centres = clusters.centres.copy()
    weights = clusters.weights * (decay if unit == "batches" else decay ** len(rows))
    for label in np.unique(labels):
        mine = rows[labels == label]
        weights[label] += len(mine)
        share = len(mine) / max(float(weights[label]), 1e-16)
        centres[label] = _multiply_add(share / len(mine), mine.sum(axis=0), centres[label] * (1.0 - share))
    return _without_dying(centres, weights)


def _without_dying(centres: Array, weights: Array) -> Clusters:
    largest, smallest = int(weights.argmax()), int(weights.argmin())
    if weights[smallest] < DYING * weights[largest]:
        weights[largest] = weights[smallest] = (weights[largest] + weights[smallest]) / 2.0
        middle = centres[largest].copy()
        hair = NUDGE * np.maximum(np.abs(middle), 1.0)
        centres[largest], centres[smallest] = middle + hair, middle - hair
    return Clusters(centres, weights)


def _multiply_add(factor: float, values: Array, addends: Array) -> Array:
    """``factor * values + addends``, rounded once, as Spark's Java does it: then centres are equal to the last bit."""
    exact = Fraction(float(factor))
    pairs = zip(values.tolist(), addends.tolist(), strict=True)
    return np.array([float(exact * Fraction(value) + Fraction(addend)) for value, addend in pairs])
