"""One change event in the words and units of a screen: pure functions for the widgets and the still."""

import math

from labkit.capture.event import OPERATION_NAMES
from labkit.model.live_state import ScoredEvent
from labkit.model.prediction import Prediction
from labkit.settings import TEST_TABLE


def format_lsn(lsn: int) -> str:
    """A log sequence number as PostgreSQL prints it: two hexadecimal halves of 32 bits, ``16/B374D848``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFF_FFFF:X}"


def is_right(prediction: Prediction) -> bool | None:
    """Whether the model was right; None where there is no label or no prediction to compare."""
    if prediction.label is None or prediction.predicted is None:
        return None
    return prediction.label == prediction.predicted


def event_view(scored: ScoredEvent) -> dict[str, object]:
    """What the page shows of an event, as JSON; times in ms, the predicted digit's probability 0 to 1."""
    event, prediction = scored.event, scored.prediction
    return {
        "key": f"{event.table}/{event.partition}/{event.offset}",
        "table": event.table,
        "row_id": event.row_id,
        "operation": OPERATION_NAMES[event.operation],
        "label": event.label,
        "lsn": format_lsn(event.lsn),
        "committed_ms": event.committed_ms,
        "delay_ms": rounded(scored.seen_ms - event.committed_ms),
        "scored": prediction is not None,
        "predicted": prediction.predicted if prediction else None,
        "probability": top_probability(prediction) if prediction else None,
        "right": is_right(prediction) if prediction else None,
        "editable": event.table == TEST_TABLE and event.operation != "d",
    }


def prediction_view(scored: ScoredEvent, prediction: Prediction) -> dict[str, object]:
    """What the page shows of a prediction, as JSON: the event, ten probabilities, each hop's milliseconds."""
    return event_view(scored) | {
        "probabilities": [rounded(probability, 4) for probability in prediction.probabilities],
        "model_version": prediction.model_version,
        "hops": [
            ["committed → captured", rounded(prediction.captured_ms - prediction.committed_ms)],
            ["captured → Kafka", rounded(prediction.recorded_ms - prediction.captured_ms)],
            ["Kafka → read", rounded(prediction.read_ms - prediction.recorded_ms)],
            ["read → predicted", rounded(prediction.predicted_ms - prediction.read_ms)],
        ],
        "total_ms": rounded(prediction.predicted_ms - prediction.committed_ms),
    }


def top_probability(prediction: Prediction) -> float | None:
    """Probability of the predicted digit; None for a delete, which has none."""
    if prediction.predicted is None or len(prediction.probabilities) <= prediction.predicted:
        return None
    return rounded(prediction.probabilities[prediction.predicted], 4)


def rounded(value: float, digits: int = 1) -> float | None:
    """A number short enough for the wire; None for what JSON cannot carry."""
    return round(value, digits) if math.isfinite(value) else None
