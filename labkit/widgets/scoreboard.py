"""The scoreboard: how well the models do on what the stream brings."""

from collections.abc import Callable, Sequence

import traitlets

from labkit.errors import LabError
from labkit.model.live_state import Score, ScoredEvent
from labkit.model.score import class_scores
from labkit.widgets.assets import joined
from labkit.widgets.checks import take_whole
from labkit.widgets.event_view import rounded
from labkit.widgets.request_widget import Job, RequestWidget

MAX_HISTORY = 200
"""Points of the plot: about as many as a phone has pixels to draw them."""


class Scoreboard(RequestWidget):
    """Running accuracy of both models as numbers and a plot, figures for each digit, and which is taken for which.

    Args:
        digits_of: Returns the newest digits of a cell of the confusion matrix, by label and prediction.

    Traits:
        score: A JSON object with the fields of `Score`, of the frozen model, and ``classes``, see `ClassScore`.
        continual: Accuracy, recent accuracy, counts and history of the continually trained one.
        cell: The cell last opened, ``{label, predicted, rows}``; None for none.
        images: Its digits' images one after the other, 784 bytes each.
    """

    _esm = joined("common.js", "scoreboard.js")
    _css = joined("common.css", "scoreboard.css")

    score = traitlets.Dict().tag(sync=True)
    continual = traitlets.Dict().tag(sync=True)
    cell = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    images = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, digits_of: Callable[[int, int], Sequence[ScoredEvent]] | None = None) -> None:
        super().__init__()
        self._digits_of = digits_of
        self.show(Score(), Score())

    def show(self, score: Score, continual: Score) -> None:
        """Show these scores; a history longer than `MAX_HISTORY` is thinned, its newest point kept."""
        with self.updating():
            self.continual = _accuracy_view(continual)
            self.score = _accuracy_view(score) | {
                "confusion": [list(row) for row in score.confusion],
                "classes": [
                    {
                        "label": one.label,
                        "support": one.support,
                        "precision": _share(one.precision),
                        "recall": _share(one.recall),
                        "f1": _share(one.f1),
                    }
                    for one in class_scores(score.confusion)
                ],
            }

    def job(self, request: dict[str, object]) -> Job:
        """Check a request ``{action: cell, label, predicted}``; see `RequestWidget.job`."""
        digits_of = self._digits_of
        if request.get("action") != "cell":
            raise LabError("the page asked for something other than a cell", "reload the page")
        if digits_of is None:
            raise LabError("nothing is connected that has digits", "pass digits_of to the widget")
        label, predicted = take_whole(request, "label", 0, 9), take_whole(request, "predicted", 0, 9)

        def work() -> str:
            digits = digits_of(label, predicted)
            with self.updating():
                self.images = b"".join(scored.event.pixels or bytes(784) for scored in digits)
                rows = [scored.event.row_id for scored in digits]
                self.cell = {"label": label, "predicted": predicted, "rows": rows}
            said = "rightly" if label == predicted else "wrongly"
            return f"{len(digits)} newest {label}s {said} said to be {predicted}"

        return Job("looking for them…", work)


def _accuracy_view(score: Score) -> dict[str, object]:
    return {
        "counted": score.counted,
        "correct": score.correct,
        "accuracy": score.accuracy,
        "recent_accuracy": score.recent_accuracy,
        "recent_window": score.recent_window,
        "history": [[count, round(accuracy, 4)] for count, accuracy in thinned(score.history)],
    }


def _share(value: float | None) -> float | None:
    return None if value is None else rounded(value, 4)


def thinned(history: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    """At most `MAX_HISTORY` points, evenly spaced by index, the newest among them."""
    step = -(-len(history) // MAX_HISTORY) or 1
    return history[::-1][::step][::-1]
