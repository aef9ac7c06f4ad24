"""One change event in the words and units of a screen: pure functions for the widgets and the still."""

import math
from datetime import datetime

from labkit.capture.event import OPERATION_NAMES, format_lsn
from labkit.model.live_state import RawRecord, ScoredEvent
from labkit.model.prediction import Prediction
from labkit.settings import TEST_TABLE


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
        "delay_ms": None if scored.seen_ms is None else rounded(scored.seen_ms - event.committed_ms),
        "scored": prediction is not None,
        "predicted": prediction.predicted if prediction else None,
        "probability": top_probability(prediction) if prediction else None,
        "right": is_right(prediction) if prediction else None,
        "editable": event.table == TEST_TABLE and event.operation != "d" and not scored.deleted,
        "deleted": scored.deleted,
        "tombstone": event.pixels is None,
    }


def prediction_view(scored: ScoredEvent, prediction: Prediction) -> dict[str, object]:
    """What the page shows of a prediction, as JSON: the event, ten probabilities, each hop's milliseconds."""
    return event_view(scored) | {
        "probabilities": [rounded(probability, 4) for probability in prediction.probabilities],
        "model_version": prediction.model_version,
        "continual": prediction.continual,
    }


def raw_view(scored: ScoredEvent, raw: RawRecord) -> dict[str, object]:
    """What the page shows of an opened record, as JSON: before and after, where it came from, and its bytes."""
    event = scored.event
    return {
        "key": event_view(scored)["key"],
        "title": f"{OPERATION_NAMES[event.operation]} of row {event.row_id} in {event.table}",
        "changes": [
            [
                "label",
                _label(event.before_label, event.operation in ("u", "d")),
                _label(event.label, event.operation != "d"),
            ]
        ],
        "source": [
            ["LSN", format_lsn(event.lsn)],
            ["transaction", "none: a snapshot" if event.transaction is None else str(event.transaction)],
            ["committed", _time(event.committed_ms)],
            ["captured", _time(event.captured_ms)],
            ["recorded", _time(event.recorded_ms)],
        ],
        "record": [
            ["topic", raw.topic],
            ["partition", str(raw.partition)],
            ["offset", str(raw.offset)],
            ["timestamp", f"{raw.timestamp_ms} ({_time(raw.timestamp_ms)})"],
            ["key", _text(raw.key)],
            ["value", "none: a tombstone" if raw.value is None else f"{len(raw.value)} bytes"],
            *[[f"header {name}", _text(value)] for name, value in raw.headers],
        ],
        "value": "" if raw.value is None else raw.value.hex(" "),
    }


def _label(label: int | None, there: bool) -> str:
    return "no row" if not there else "none" if label is None else str(label)


def _text(content: bytes | None) -> str:
    """Bytes as text where they are printable, else as hexadecimal numbers."""
    if content is None:
        return "none"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content.hex(" ")
    return text if text.isprintable() else content.hex(" ")


def _time(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000).strftime("%H:%M:%S.%f")[:-3]


def top_probability(prediction: Prediction) -> float | None:
    """Probability of the predicted digit; None for a delete, which has none."""
    if prediction.predicted is None or len(prediction.probabilities) <= prediction.predicted:
        return None
    return rounded(prediction.probabilities[prediction.predicted], 4)


def rounded(value: float, digits: int = 1) -> float | None:
    """A number short enough for the wire; None for what JSON cannot carry."""
    return round(value, digits) if math.isfinite(value) else None
