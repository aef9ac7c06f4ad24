"""The records of the predictions topic: predictions as JSON, keyed by row id, and marks where scores begin anew."""

from collections.abc import Iterator

from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from pydantic import TypeAdapter, ValidationError

from labkit.errors import LabError
from labkit.model.prediction import Prediction
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.reading import read_to_present_end
from labkit.stream.topics import CLIENT, offset_range

_FORM = TypeAdapter(Prediction)
RESET_KEY = b"score-reset"
"""Key of a mark: scores count the predictions behind it. In the topic itself, so that all screens agree where it is."""


def encode_prediction(prediction: Prediction) -> bytes:
    """The JSON record of a prediction."""
    return _FORM.dump_json(prediction)


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
    for digit in (prediction.label, prediction.predicted, prediction.continual):
        if digit is not None and not 0 <= digit <= 9:
            raise _no_prediction(record, f"{digit} is no digit")
    return prediction


def read_predictions(servers: str, *, since_reset: bool = False) -> tuple[list[Prediction], int]:
    """All predictions there are now, in the order of their records.

    Args:
        servers: Kafka's bootstrap servers.
        since_reset: Only those that scores count: behind the last mark.

    Returns:
        The predictions, and how many records in their topic are neither predictions nor marks.

    Raises:
        LabError: The topic is missing, or the broker is away.
    """
    predictions: list[Prediction] = []
    foreign = 0
    for record, prediction in _decoded(servers):
        if is_reset(record):
            if since_reset:
                predictions.clear()
                foreign = 0
        elif prediction is None:
            foreign += 1
        else:
            predictions.append(prediction)
    return predictions, foreign


def recorded_predictions(servers: str) -> list[tuple[Prediction, ConsumerRecord]]:
    """All predictions there are now, each with its own record; what is none is passed over.

    Args:
        servers: Kafka's bootstrap servers.

    Raises:
        LabError: The topic is missing, or the broker is away.
    """
    return [(prediction, record) for record, prediction in _decoded(servers) if prediction is not None]


def is_reset(record: ConsumerRecord) -> bool:
    """Whether a record of the predictions topic is a mark from which on scores count anew."""
    return record.key == RESET_KEY


def reset_scores(servers: str) -> None:
    """Write a mark behind all predictions there are: every screen's score begins anew. No prediction is lost.

    Args:
        servers: Kafka's bootstrap servers.

    Raises:
        LabError: The broker is away, or there are several partitions: a mark has no place in the order of the others.
    """
    if len(offset_range(servers, PREDICTIONS_TOPIC)) > 1:
        raise LabError(
            "scores can begin anew only where the predictions have one partition", "labkit down, then labkit up"
        )
    try:
        producer = KafkaProducer(
            bootstrap_servers=servers, delivery_timeout_ms=10_000, request_timeout_ms=5_000, **CLIENT
        )
        try:
            producer.send(PREDICTIONS_TOPIC, key=RESET_KEY, value=None, partition=0).get(timeout=15)
        finally:
            producer.close(timeout=1)
    except KafkaError as error:
        raise LabError(f"no Kafka broker answers at {servers}", "labkit up") from error


def _decoded(servers: str) -> Iterator[tuple[ConsumerRecord, Prediction | None]]:
    """Each record of the predictions topic, and its prediction; None where it is a mark, or something foreign."""
    for record in read_to_present_end(servers, PREDICTIONS_TOPIC):
        try:
            prediction = decode_prediction(record)
        except LabError:
            prediction = None
        yield record, prediction


def _no_prediction(record: ConsumerRecord, reason: str) -> LabError:
    return LabError(
        f"record {record.topic}[{record.partition}]@{record.offset} is no prediction: {reason}",
        "it is passed over; find out who else writes to this topic",
    )
