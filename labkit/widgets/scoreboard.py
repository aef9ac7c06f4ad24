"""The scoreboard: how well the model does on what the stream brings."""

import anywidget
import traitlets

from labkit.model.live_state import Score
from labkit.widgets.assets import joined

MAX_HISTORY = 200
"""Points of the plot: about as many as a phone has pixels to draw them."""


class Scoreboard(anywidget.AnyWidget):
    """Running accuracy as a number and a plot, the accuracy of late, and which digits are taken for which.

    Traits:
        score: A JSON object with the fields of `Score`.
    """

    _esm = joined("common.js", "scoreboard.js")
    _css = joined("common.css", "scoreboard.css")

    score = traitlets.Dict().tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.show(Score())

    def show(self, score: Score) -> None:
        """Show this score; a history longer than `MAX_HISTORY` is thinned, its newest point kept."""
        self.score = {
            "counted": score.counted,
            "correct": score.correct,
            "accuracy": score.accuracy,
            "recent_accuracy": score.recent_accuracy,
            "recent_window": score.recent_window,
            "confusion": [list(row) for row in score.confusion],
            "history": [[count, round(accuracy, 4)] for count, accuracy in thinned(score.history)],
        }


def thinned(history: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    """At most `MAX_HISTORY` points, evenly spaced by index, the newest among them."""
    step = -(-len(history) // MAX_HISTORY) or 1
    return history[::-1][::step][::-1]
