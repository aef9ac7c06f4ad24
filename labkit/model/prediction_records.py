"""Predictions as Kafka records: JSON, keyed by row id."""

import dataclasses
import json
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from pydantic import TypeAdapter, ValidationError

from labkit.errors import LabError
from labkit.model.prediction import Prediction
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.reading import read_to_present_end

_FORM = TypeAdapter(Prediction)


def encode_prediction(prediction: Prediction) -> bytes:
    """The JSON record of a prediction; probabilities with four decimals."""
    fields: dict[str, Any] = {field.name: getattr(prediction, field.name) for field in dataclasses.fields(prediction)}
    fields["probabilities"] = [round(value, 4) for value in prediction.probabilities]
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_prediction(record: ConsumerRecord) -> Prediction:
    """The prediction in a record.

    Raises:
        LabError: The record is not a prediction.
    """
    try:
        prediction = _FORM.validate_json(record.value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        raise _no_prediction(record, " ".join([*map(str, first["loc"]), first["msg"]])) from error
    for digit in (prediction.label, prediction.predicted):
        if digit is not None and not 0 <= digit <= 9:
            raise _no_prediction(record, f"{digit} is no digit")
    return prediction


def read_predictions(servers: str) -> tuple[list[Prediction], int]:
    """All predictions there are now, in the order of their records.

    Args:
        servers: Kafka's bootstrap servers.

    Returns:
        The predictions, and how many records in their topic are none.

    Raises:
        LabError: The topic is missing, or the broker is away.
    """
    predictions: list[Prediction] = []
    foreign = 0
    for record in read_to_present_end(servers, PREDICTIONS_TOPIC):
        try:
            predictions.append(decode_prediction(record))
        except LabError:
            foreign += 1
    return predictions, foreign


def _no_prediction(record: ConsumerRecord, reason: str) -> LabError:
    return LabError(
        f"record {record.topic}[{record.partition}]@{record.offset} is no prediction: {reason}",
        "it is passed over; find out who else writes to this topic",
    )
