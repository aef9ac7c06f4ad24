"""The running score by progressive validation, with labels that come late, change or vanish."""

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from labkit.model.live_state import Score
from labkit.model.prediction import Prediction

HISTORY_POINTS = 300
RowKey = tuple[str, int]


class ProgressiveScore:
    """Counts every row once: what the model last said of it against the label it has now.

    A digit is predicted before its label is used, so each is a fair test (progressive validation, also known as
    prequential evaluation: Gama, Sebastião, Rodrigues, "On evaluating stream learning algorithms", 2013). A relabelled
    row takes its old count back first; a deleted one leaves the score.

    Args:
        recent_window: Length of the window of the recent accuracy, in counted events.
    """

    def __init__(self, recent_window: int = 100) -> None:
        self._rows: dict[RowKey, tuple[int, int]] = {}
        self._confusion = np.zeros((10, 10), np.int64)
        self._recent: deque[bool] = deque(maxlen=recent_window)
        self._window = recent_window
        self._history: list[tuple[int, float]] = []
        self._stride = 1
        self._seen = 0

    def update(self, prediction: Prediction) -> None:
        """Take one prediction into account, in the order of the predictions topic."""
        self._seen += 1
        key = (prediction.table, prediction.row_id)
        before = self._rows.pop(key, None)
        if before is not None:
            self._confusion[before] -= 1
        if prediction.label is not None and prediction.predicted is not None:
            now = (prediction.label, prediction.predicted)
            self._rows[key] = now
            self._confusion[now] += 1
            self._recent.append(now[0] == now[1])
        self._remember()

    @property
    def counted(self) -> int:
        """Rows that have a label and a prediction."""
        return len(self._rows)

    @property
    def correct(self) -> int:
        """Rows where both agree."""
        return int(np.trace(self._confusion))

    def result(self) -> Score:
        """The score now."""
        recent = self._recent
        return Score(
            counted=self.counted,
            correct=self.correct,
            accuracy=self.correct / self.counted if self.counted else None,
            recent_accuracy=sum(recent) / len(recent) if recent else None,
            recent_window=self._window,
            confusion=tuple(tuple(int(count) for count in row) for row in self._confusion),
            history=tuple(self._history),
        )

    def _remember(self) -> None:
        """Keep a bounded curve: when it is full, drop every second point and go on at half the density."""
        if self.counted == 0 or self._seen % self._stride:
            return
        self._history.append((self._seen, self.correct / self.counted))
        if len(self._history) >= HISTORY_POINTS:
            self._history = self._history[1::2]
            self._stride *= 2


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
