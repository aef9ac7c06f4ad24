"""The running score by progressive validation, with labels that come late, change or vanish."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from labkit.model.live_state import Score
from labkit.model.prediction import Prediction
from labkit.model.row_bytes import RowBytes
from labkit.settings import TEST_TABLE

HISTORY_POINTS = 300
ModelName = Literal["frozen", "continual"]
"""The published model as it is, or its copy that goes on learning."""
MODELS: tuple[ModelName, ...] = ("frozen", "continual")


class ProgressiveScore:
    """Counts every row once: what the model last said of it against the label it has now.

    A digit is predicted before its label is used, so each is a fair test (progressive validation, also known as
    prequential evaluation: Gama, Sebastião, Rodrigues, "On evaluating stream learning algorithms", 2013). A relabelled
    row takes its old count back first; a deleted one leaves the score.

    The continually trained model learns every labelled digit. What it says of that row later is no fair test any more,
    so its score keeps what it said before it first knew the row's label.

    Args:
        model: Whose answers are counted.
        recent_window: Length of the window of the recent accuracy, in counted events.
    """

    def __init__(self, model: ModelName = "frozen", recent_window: int = 100) -> None:
        self._model = model
        self._fair_answers = RowBytes()  # Of each labelled row the answer that counts.
        self._window = recent_window
        self.reset()

    def reset(self) -> None:
        """Begin anew. What the model said before it learned a row stays known: it has learned the row all the same."""
        self._pairs = RowBytes()  # Of each counted row 10 · label + what was said of it.
        self._confusion = np.zeros((10, 10), np.int64)
        self._recent: deque[bool] = deque(maxlen=self._window)
        self._history: list[tuple[int, float]] = []
        self._stride = 1
        self._seen = 0
        self._versions: set[str] = set()

    def update(self, prediction: Prediction) -> None:
        """Take one prediction into account, in the order of the predictions topic."""
        self._seen += 1
        table, row_id = prediction.table, prediction.row_id
        before = self.pair(table, row_id)
        if before is not None:
            self._confusion[before] -= 1
            self._pairs.discard(table, row_id)
        predicted = prediction.predicted if self._model == "frozen" else self._fair_answer(prediction)
        if prediction.label is not None and predicted is not None:
            self._pairs.set(table, row_id, 10 * prediction.label + predicted)
            self._confusion[prediction.label, predicted] += 1
            self._recent.append(prediction.label == predicted)
            self._versions.add(prediction.model_version)
        self._remember()

    def _fair_answer(self, prediction: Prediction) -> int | None:
        """The answer from before the model first knew the row's label."""
        table, row_id = prediction.table, prediction.row_id
        if prediction.operation == "d":
            self._fair_answers.discard(table, row_id)
            return None
        answer = self._fair_answers.get(table, row_id)
        if answer is None:
            answer = prediction.continual
            if prediction.label is not None and answer is not None:
                self._fair_answers.set(table, row_id, answer)  # It learns this row next.
        return answer

    def pair(self, table: str, row_id: int) -> tuple[int, int] | None:
        """Label and what was said of a row that counts now; None for any other."""
        code = self._pairs.get(table, row_id)
        return None if code is None else (code // 10, code % 10)

    def rows(self, label: int, predicted: int, count: int) -> list[int]:
        """Rows of the test table that count in one cell of the confusion matrix, highest id first, at most so many."""
        return self._pairs.newest(TEST_TABLE, 10 * label + predicted, count)

    @property
    def counted(self) -> int:
        """Rows that have a label and a prediction."""
        return int(self._confusion.sum())

    @property
    def correct(self) -> int:
        """Rows where both agree."""
        return int(np.trace(self._confusion))

    def result(self) -> Score:
        """The score now."""
        recent, history = self._recent, tuple(self._history)
        accuracy = self.correct / self.counted if self.counted else None
        if accuracy is not None and (not history or history[-1][0] != self._seen):
            history += ((self._seen, accuracy),)  # The curve is thinned out as it grows, but ends now.
        return Score(
            counted=self.counted,
            correct=self.correct,
            accuracy=accuracy,
            recent_accuracy=sum(recent) / len(recent) if recent else None,
            recent_counted=len(recent),
            published=len(self._versions),
            confusion=tuple(tuple(int(count) for count in row) for row in self._confusion),
            history=history,
        )

    def _remember(self) -> None:
        """Keep a bounded curve: when it is full, drop every second point and go on at half the density."""
        if self.counted == 0 or self._seen % self._stride:
            return
        self._history.append((self._seen, self.correct / self.counted))
        if len(self._history) >= HISTORY_POINTS:
            self._history = self._history[1::2]
            self._stride *= 2


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one digit fares.

    Attributes:
        label: The digit, 0 to 9.
        support: Counted rows that are this digit.
        precision: Share of those said to be this digit that are it; None where none was said to be.
        recall: Share of those that are this digit which were said to be; None where there are none.
        f1: Harmonic mean of both; None where either is.
    """

    label: int
    support: int
    precision: float | None
    recall: float | None
    f1: float | None


def class_scores(confusion: Sequence[Sequence[int]]) -> list[ClassScore]:
    """Precision, recall and F1 of each digit.

    Args:
        confusion: ``confusion[label][predicted]``, 10 by 10 counts.

    Source: C. J. van Rijsbergen, "Information retrieval", 1979, chapter 7; the same figures as scikit-learn's
    ``precision_recall_fscore_support``, which says 0 where these say None.
    """
    counts = np.asarray(confusion)
    scores: list[ClassScore] = []
    for label in range(len(counts)):
        hits, said, support = int(counts[label, label]), int(counts[:, label].sum()), int(counts[label].sum())
        both = said + support
        scores.append(
            ClassScore(
                label=label,
                support=support,
                precision=hits / said if said else None,
                recall=hits / support if support else None,
                f1=2 * hits / both if said and support else None,
            )
        )
    return scores


def recompute(labels: Mapping[int, int | None], predictions: Iterable[Prediction]) -> tuple[int, int]:
    """The same score from scratch: the table's labels now against each row's last prediction.

    Args:
        labels: Label of each row that the table holds now, by id.
        predictions: All predictions of that table, in order.

    Returns:
        (counted, correct).
    """
    last: dict[int, int] = {p.row_id: p.predicted for p in predictions if p.predicted is not None}
    pairs = [(label, last[row_id]) for row_id, label in labels.items() if label is not None and row_id in last]
    return len(pairs), sum(label == predicted for label, predicted in pairs)
