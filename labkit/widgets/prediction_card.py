"""The prediction card: the newest prediction, large."""

import traitlets

from labkit.model.live_state import ScoredEvent
from labkit.widgets.assets import joined
from labkit.widgets.event_view import prediction_view
from labkit.widgets.row_requests import RowRequestWidget


class PredictionCard(RowRequestWidget):
    """The newest prediction: image, ten probabilities, the true label, and where the milliseconds went.

    Args:
        on_relabel: Called with row id and new label when somebody says the model is wrong.
        on_delete: Called with the row id when the row is deleted.

    Traits:
        prediction: A JSON object, see `prediction_view`; None before the first prediction.
        image: 784 bytes, or none for a delete.
        scoring: Whether the scorer runs; without it no newer prediction comes.
    """

    _esm = joined("common.js", "prediction_card.js")
    _css = joined("common.css", "prediction_card.css")

    prediction = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    image = traitlets.Bytes(b"").tag(sync=True)
    scoring = traitlets.Bool(True).tag(sync=True)

    def show_scoring(self, running: bool) -> None:
        """Say so while no scorer runs."""
        with self.updating():
            self.scoring = running

    def show(self, scored: ScoredEvent | None) -> None:
        """Show this event and its prediction; an empty card where there is none."""
        prediction = scored.prediction if scored else None
        with self.updating():
            if scored is not None and self.prediction is not None and scored.event.row_id != self.prediction["row_id"]:
                self.forget_status()
            if scored is None or prediction is None:
                self.image, self.prediction = b"", None
            else:
                self.image = scored.event.pixels or b""
                self.prediction = prediction_view(scored, prediction)
