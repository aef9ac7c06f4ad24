"""Where k-means starts: centres chosen among the first points of a stream."""

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def farthest_points(points: Points, count: int) -> Points:
    """The point nearest to the mean, then again and again the one farthest from those that were chosen.

    T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical Computer Science 38 (1985).

    Args:
        points: Shape (n, d), n at least `count`.
        count: How many.

    Returns:
        Shape (count, d).
    """
    chosen = [int(_squares(points, points.mean(axis=0)).argmin())]
    gaps = _squares(points, points[chosen[0]])
    while len(chosen) < count:
        chosen.append(int(gaps.argmax()))
        gaps = np.minimum(gaps, _squares(points, points[chosen[-1]]))
    return points[chosen]


def plus_plus_points(points: Points, count: int, random: np.random.Generator) -> Points:
    """Points drawn at random, each with a probability in proportion to its squared distance from those drawn before.

    D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Args:
        points: Shape (n, d), n at least `count`.
        count: How many.
        random: Draws.

    Returns:
        Shape (count, d).
    """
    chosen = [int(random.integers(len(points)))]
    gaps = _squares(points, points[chosen[0]])
    while len(chosen) < count:
        # Where all points are equal, any will do.
        chances = gaps / gaps.sum() if gaps.sum() > 0 else None
        chosen.append(int(random.choice(len(points), p=chances)))
        gaps = np.minimum(gaps, _squares(points, points[chosen[-1]]))
    return points[chosen]


def _squares(points: Points, centre: Points) -> Points:
    return ((points - centre) ** 2).sum(axis=1)
