"""Checks of lesson 11: clusters matched to labels, the rule of streaming k-means, and what learning on gains."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from labkit.course.answers import whole_number
from labkit.course.engine_figures import recorded
from labkit.course.verdict import WrongAnswer, check
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.online.iris import CLASSES, FEATURES
from labkit.online.kmeans import learn, nearest
from labkit.online.matching import count_right
from labkit.online.records import Learned, read_iris_predictions

TOLERANCE_CM = 0.0006
"""Three decimals are enough. With two, halfway between old and new might pass where both weigh nearly the same."""


@check
def right_flowers(answer: object, lab: Lab, rows: Collection[int]) -> str:
    """Whether this is how many of these test rows are right, clusters matched to labels in the best way.

    Args:
        answer: Their number.
        lab: The running lab.
        rows: Ids of rows of ``iris_test`` that have been predicted.
    """
    given = whole_number(answer, "a number of flowers")
    wanted = set(rows)
    told = [p for p in read_iris_predictions(lab.kafka) if p.row_id in wanted and p.label is not None]
    if len(told) < len(wanted):
        raise LabError(f"of {len(wanted)} flowers {len(told)} have a prediction", "run the lesson's cells in order")
    clusters, labels = [p.cluster for p in told], [p.label for p in told if p.label is not None]
    found = count_right(clusters, labels, len(CLASSES))
    if given == found:
        return f"{found} of {len(told)}: the best of the six ways to give three clusters three labels."
    if given == sum(cluster == label for cluster, label in zip(clusters, labels, strict=True)):
        raise WrongAnswer("That takes a cluster's number for a label. The numbers mean nothing: try all six ways.")
    if given == len(told) - found:
        raise WrongAnswer("Those are the wrong ones.")
    if given > found:
        raise WrongAnswer("So many are right in no way: each label can be given to one cluster only.")
    raise WrongAnswer("There is a better way to give the three clusters the three labels.")


@check
def moved_centre(answer: object, before: Learned, points: npt.ArrayLike, cluster: int) -> str:
    """Whether this is a cluster's centre after a mini-batch.

    Args:
        answer: Four coordinates, centimetres.
        before: Centres and weights before it.
        points: The mini-batch, shape (n, 4).
        cluster: Its number.
    """
    given = _coordinates(answer)
    old, rows = before.clusters, np.asarray(points, np.float64)
    centre, weight = old.centres[cluster], float(old.weights[cluster])
    new = learn(old, rows).centres[cluster]
    mine = rows[nearest(old, rows) == cluster]
    mean = mine.mean(axis=0) if len(mine) else centre
    if _near(given, new):
        moved = float(np.linalg.norm(new - centre))
        return f"The old centre stands for {weight:g} flowers, {len(mine)} have come: it moves by {moved:.3f} cm."
    if _near(given, centre):
        raise WrongAnswer("That is the old centre. Flowers have come that are nearest to it: it moves.")
    if _near(given, mean):
        raise WrongAnswer(f"That is the mean of the new flowers. What was learned counts, too: as {weight:g} flowers.")
    if _near(given, (centre + mean) / 2):
        raise WrongAnswer("That is halfway. Each side counts by how many flowers it stands for.")
    if _near(given, (centre * weight + rows.sum(axis=0)) / (weight + len(rows))):
        raise WrongAnswer("That takes in every new flower. Only those that are nearest to this centre count.")
    raise WrongAnswer("It is another place: (old centre · weight + sum of its new flowers) / (weight + their number).")


@check
def more_right(answer: object, lab: Lab, rows: Collection[int]) -> str:
    """Whether this is by how many digits the model that goes on learning is ahead of the frozen one.

    Args:
        answer: Their number; negative where it is behind.
        lab: The running lab.
        rows: Ids of rows that were inserted with a label and not changed since.
    """
    given = whole_number(answer, "a number of digits")
    wanted = set(rows)
    told = [prediction for prediction, _ in recorded(lab) if prediction.row_id in wanted]
    if len({prediction.row_id for prediction in told}) < len(wanted):
        raise LabError("not every digit has its prediction yet", "wait a moment, then run the cell again")
    frozen = sum(prediction.predicted == prediction.label for prediction in told)
    learning = sum(prediction.continual == prediction.label for prediction in told)
    if given == learning - frozen:
        return f"Of {len(told)} digits the frozen model had {frozen} right, the one that goes on learning {learning}."
    if given in (frozen, learning):
        raise WrongAnswer("That is what one model had right. By how many is the other ahead?")
    if given == frozen - learning:
        raise WrongAnswer("The other way round: ahead is a positive number.")
    if given == sum(prediction.continual != prediction.predicted for prediction in told):
        raise WrongAnswer("There the two differ. Not each time the one that learns is right, or the other wrong.")
    raise WrongAnswer("It is another number. Compare .predicted and .continual of each with its .label.")


def _coordinates(answer: object) -> npt.NDArray[np.float64]:
    if not isinstance(answer, Sequence | np.ndarray) or isinstance(answer, str | bytes):
        raise WrongAnswer(f"A centre is {len(FEATURES)} numbers; this is a {type(answer).__name__}.")
    try:
        found = np.asarray(answer, np.float64)
    except (TypeError, ValueError) as error:
        raise WrongAnswer(f"A centre is {len(FEATURES)} numbers, in centimetres.") from error
    if found.shape != (len(FEATURES),) or not np.isfinite(found).all():
        raise WrongAnswer(f"A centre is {len(FEATURES)} finite numbers; this has the shape {found.shape}.")
    return found


def _near(given: npt.NDArray[np.float64], place: npt.NDArray[np.float64]) -> bool:
    return bool(np.abs(given - place).max() <= TOLERANCE_CM)
