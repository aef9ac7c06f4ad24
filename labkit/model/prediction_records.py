"""Predictions as Kafka records: JSON, keyed by row id."""

import dataclasses
import json
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord

from labkit.errors import LabError
from labkit.model.prediction import Prediction


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
        fields = json.loads(record.value)
        return Prediction(**fields | {"probabilities": tuple(fields["probabilities"])})
    except (TypeError, ValueError, KeyError) as error:
        raise LabError(
            f"record {record.topic}[{record.partition}]@{record.offset} is no prediction: {error}",
            "it is passed over; find out who else writes to this topic",
        ) from error
