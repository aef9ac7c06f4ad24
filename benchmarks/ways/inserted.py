"""The record of a prediction where the event, if there was one, is not in Kafka's topic: of an inserted row."""

from labkit.model.prediction import Prediction
from labkit.model.prediction_records import encode_prediction
from labkit.settings import TEST_TABLE


def encoded_insert(
    row_id: int,
    label: int | None,
    probabilities: tuple[float, ...],
    version: str,
    *,
    committed_ms: float,
    read_ms: float,
    predicted_ms: float,
    lsn: int = 0,
) -> tuple[bytes, bytes]:
    """Key and value of the record; the row's id stands where others have an offset.

    Args:
        row_id: The row's.
        label: Its label.
        probabilities: Ten, as `labkit.model.prediction.recorded` gives them.
        version: The model's.
        committed_ms: When the row was committed, as far as that is known; milliseconds since the Unix epoch.
        read_ms: When it had been read.
        predicted_ms: When the network had answered.
        lsn: Of the insert; 0 where nobody knows.
    """
    prediction = Prediction(
        table=TEST_TABLE,
        row_id=row_id,
        operation="c",
        label=label,
        predicted=probabilities.index(max(probabilities)),
        probabilities=probabilities,
        model_version=version,
        lsn=lsn,
        partition=0,
        offset=row_id,
        committed_ms=committed_ms,
        captured_ms=read_ms,
        recorded_ms=read_ms,
        read_ms=read_ms,
        predicted_ms=predicted_ms,
    )
    return b"%d" % row_id, encode_prediction(prediction)
