"""How well a recipe does: after each phase of the example, and row by row by progressive validation."""

import numpy as np
import numpy.typing as npt

from labkit.online.iris import Flowers, Split
from labkit.online.matching import count_right, match_clusters
from labkit.online.recipes import COUNT, OnlineKMeans, Recipe


def score_phases(recipe: Recipe, parts: Split, seed: int = 0) -> tuple[int, int, int]:
    """How many of the test rows are right after each phase: the first 1 %, the rest, and the rest once more.

    Each phase is one mini-batch. Clusters are matched to labels on the test rows themselves, as the example did by
    hand: that is the best that can be said of them.

    Args:
        recipe: What learns.
        parts: The flowers.
        seed: For starts that are drawn.
    """
    model = OnlineKMeans(recipe, seed)
    scores: list[int] = []
    for flowers in (parts.first, parts.rest, parts.rest):
        model.learn(flowers.features)
        scores.append(count_right(model.nearest(parts.test.features), parts.test.labels, COUNT))
    first, second, third = scores
    return first, second, third


def validate_progressively(recipe: Recipe, flowers: Flowers, seed: int) -> npt.NDArray[np.bool_]:
    """Predict each row, then learn it: whether each prediction was right, in the order of the rows.

    A. Blum, A. Kalai and J. Langford, "Beating the hold-out: bounds for k-fold and progressive cross-validation", COLT
    1999. A cluster means the label that the rows seen before give it, assigned to their nearest centres of now.

    Args:
        recipe: What learns.
        flowers: All rows; a seed shuffles them.
        seed: For the order, and for starts that are drawn.

    Returns:
        Shape (n,).
    """
    shuffled = flowers.take(np.random.default_rng(seed).permutation(len(flowers)))
    model = OnlineKMeans(recipe, seed)
    right = np.zeros(len(flowers), np.bool_)
    for row in range(len(flowers)):
        clusters = model.nearest(shuffled.features[: row + 1])
        labels = match_clusters(clusters[:row], shuffled.labels[:row], COUNT)
        right[row] = labels[clusters[row]] == shuffled.labels[row]
        model.learn(shuffled.features[row : row + 1])
    return right
