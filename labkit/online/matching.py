"""Which cluster means which label: the assignment that is right for most rows."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from labkit.errors import LabError

Numbers = npt.NDArray[np.int64]


def match_clusters(clusters: npt.ArrayLike, labels: npt.ArrayLike, count: int) -> Numbers:
    """The label of each cluster, one to one, so that as many rows as possible are right.

    An assignment problem: H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics
    Quarterly 2 (1955); solved by `scipy.optimize.linear_sum_assignment`.

    Args:
        clusters: The cluster of each row, 0 to count - 1, shape (n,).
        labels: The label of each row, in the same range.
        count: How many clusters there are, and labels.

    Returns:
        Labels, shape (count,): that of cluster 0 first. Where no row speaks for one, some label that is left.

    Raises:
        LabError: The two are not as long, or a number is out of range.
    """
    found, wanted = np.asarray(clusters, np.int64), np.asarray(labels, np.int64)
    if found.shape != wanted.shape or found.ndim != 1:
        raise LabError(f"clusters of shape {found.shape}, labels of shape {wanted.shape}", "one of each for a row")
    for numbers in (found, wanted):
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < count):
            raise LabError(f"clusters and labels must be from 0 to {count - 1}", "leave out rows without a label")
    together = np.zeros((count, count), np.int64)
    np.add.at(together, (found, wanted), 1)
    _, matched = linear_sum_assignment(together, maximize=True)
    return matched.astype(np.int64)


def count_right(clusters: npt.ArrayLike, labels: npt.ArrayLike, count: int) -> int:
    """How many rows are right under the best assignment of these very rows, as one matches them by hand."""
    matched = match_clusters(clusters, labels, count)
    return int((matched[np.asarray(clusters, np.int64)] == np.asarray(labels)).sum())
