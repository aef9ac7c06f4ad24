"""The scoreboard: how well the models do on what the stream brings."""

from collections.abc import Callable, Sequence

import traitlets

from labkit.errors import LabError
from labkit.model.live_state import CountedDigit, Score
from labkit.model.score import MODELS, ModelName, class_scores
from labkit.widgets.assets import joined
from labkit.widgets.checks import take_model, take_whole
from labkit.widgets.event_view import rounded
from labkit.widgets.request_widget import Job, RequestWidget

MAX_HISTORY = 200
"""Points of the plot: about as many as a phone has pixels to draw them."""


class Scoreboard(RequestWidget):
    """Running accuracy of both models as numbers and a plot, figures for each digit, and which is taken for which.

    Args:
        digits_of: Returns the newest digits of a cell of a model's confusion matrix, by label, prediction and model.

    Traits:
        frozen: A JSON object with the fields of `Score`, of the published model, and ``classes``, see `ClassScore`.
        continual: The same of its copy that goes on learning.
        chosen: Whose table of digits and whose confusion matrix are shown: ``frozen`` or ``continual``.
        cell: The cell last opened, ``{model, label, predicted, rows}``; None for none.
        images: Its digits' images one after the other, 784 bytes each.
    """

    _esm = joined("common.js", "scoreboard.js")
    _css = joined("common.css", "scoreboard.css")

    frozen = traitlets.Dict().tag(sync=True)
    continual = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Enum(MODELS, "frozen").tag(sync=True)
    cell = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    images = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, digits_of: Callable[[int, int, ModelName], Sequence[CountedDigit]] | None = None) -> None:
        super().__init__()
        self._digits_of = digits_of
        self._shown = Score()
        self.show(Score(), Score())

    def show(self, frozen: Score, continual: Score) -> None:
        """Show these scores; a history longer than `MAX_HISTORY` is thinned, its newest point kept."""
        with self.updating():
            before, self._shown = self._shown, frozen
            if frozen.counted < before.counted and len(frozen.history) < len(before.history):
                self.cell, self.status = None, ""  # The scores were reset: these digits are of the ones before.
            self.frozen, self.continual = _score_view(frozen), _score_view(continual)

    def job(self, request: dict[str, object]) -> Job:
        """Check a request ``{action: cell, model, label, predicted}``; see `RequestWidget.job`."""
        digits_of = self._digits_of
        if request.get("action") != "cell":
            raise LabError("the page asked for something other than a cell", "reload the page")
        if digits_of is None:
            raise LabError("nothing is connected that has digits", "pass digits_of to the widget")
        label, predicted = take_whole(request, "label", 0, 9), take_whole(request, "predicted", 0, 9)
        model = take_model(request)

        def work() -> str:
            digits = digits_of(label, predicted, model)
            with self.updating():
                self.images = b"".join(digit.pixels for digit in digits)
                rows = [digit.row_id for digit in digits]
                self.cell = {"model": model, "label": label, "predicted": predicted, "rows": rows}
            if not digits:
                return f"the {model} model takes no {label} for {predicted} any more"
            return f"the newest {len(digits)} of the {label}s that the {model} model took for {predicted}"

        return Job("looking for them…", work)


def _score_view(score: Score) -> dict[str, object]:
    return {
        "counted": score.counted,
        "correct": score.correct,
        "accuracy": score.accuracy,
        "recent_accuracy": score.recent_accuracy,
        "recent_counted": score.recent_counted,
        "published": score.published,
        "history": [[count, round(accuracy, 4)] for count, accuracy in thinned(score.history)],
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


def _share(value: float | None) -> float | None:
    return None if value is None else rounded(value, 4)


def thinned(history: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    """At most `MAX_HISTORY` points, evenly spaced by index, the newest among them."""
    step = -(-len(history) // MAX_HISTORY) or 1
    return history[::-1][::step][::-1]
