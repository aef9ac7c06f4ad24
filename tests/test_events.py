"""Records of the two topics: what is a digit's event or a prediction is decoded, anything else is named and refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from labkit.capture.event import ChangeEvent
from labkit.errors import LabError
from labkit.model.prediction import Prediction, recorded
from labkit.model.prediction_records import decode_prediction, encode_prediction
from labkit.stream.events import NotADigitError, decode_event

PIXELS = bytes(range(256)) * 3 + bytes(16)
HEADERS: dict[str, bytes | None] = {
    "__op": b"c",
    "__ts_us": b"1700000000345678",
    "__source_lsn": b"23456789",
    "__source_txId": b"771",
    "__source_ts_us": b"1700000000123456",
    "__after_label": b"7",
}
EVENT = ChangeEvent(
    table="mnist_test",
    row_id=41,
    operation="c",
    label=7,
    pixels=PIXELS,
    lsn=23456789,
    transaction=771,
    committed_ms=1700000000123.456,
    captured_ms=1700000000345.678,
    recorded_ms=1700000000350.0,
    topic="lab.public.mnist_test",
    partition=2,
    offset=17,
)
PREDICTION = Prediction(
    table="mnist_test",
    row_id=41,
    operation="c",
    label=7,
    predicted=1,
    probabilities=(0.05, 0.5, *[0.05] * 7, 0.1),
    model_version="v3",
    lsn=23456789,
    partition=2,
    offset=17,
    committed_ms=1700000000123.456,
    captured_ms=1700000000345.678,
    recorded_ms=1700000000350.0,
    read_ms=1700000000351.5,
    predicted_ms=1700000000352.25,
)


def make_record(
    value: bytes | None = PIXELS,
    *,
    key: bytes | None = b"41",
    without: str = "",
    topic: str = "lab.public.mnist_test",
    **headers: bytes | None,
) -> ConsumerRecord:
    """A record as kafka-python's consumer returns it: good, but for what is told."""
    named = HEADERS | {f"__{name}": content for name, content in headers.items()}
    # kafka-python's annotation knows no empty header, its records do.
    listed: list[Any] = [(name, content) for name, content in named.items() if name != without]
    return ConsumerRecord(
        topic=topic,
        partition=2,
        leader_epoch=0,
        offset=17,
        timestamp=1700000000350,
        timestamp_type=0,
        key=key,
        value=value,
        headers=listed,
        checksum=None,
        serialized_key_size=2,
        serialized_value_size=784,
        serialized_header_size=100,
    )


def test_insert_is_decoded_whole() -> None:
    assert decode_event(make_record()) == EVENT


def test_unlabelled_row_has_no_label() -> None:
    assert decode_event(make_record(after_label=None)) == replace(EVENT, label=None)
    assert decode_event(make_record(without="__after_label")) == replace(EVENT, label=None)


def test_snapshot_read_without_a_transaction_is_decoded() -> None:
    assert decode_event(make_record(op=b"r", source_txId=None)) == replace(EVENT, operation="r", transaction=None)


def test_tombstone_of_a_delete_has_neither_label_nor_pixels() -> None:
    deleted = replace(EVENT, operation="d", label=None, pixels=None)
    assert decode_event(make_record(None, op=b"d", after_label=None)) == deleted


FOREIGN: dict[str, tuple[ConsumerRecord, str]] = {
    "no headers": (make_record()._replace(headers=[]), "header '__op' is missing"),
    "no LSN": (make_record(without="__source_lsn"), "header '__source_lsn' is missing"),
    "empty time": (make_record(ts_us=None), "header __ts_us is empty"),
    "unknown operation": (make_record(op=b"t"), "unknown operation 't'"),
    "operation that is no text": (make_record(op=b"\xff"), "decode"),
    "no value": (make_record(None), "0 bytes are no 784 pixels"),
    "a byte short": (make_record(PIXELS[1:]), "783 bytes are no 784 pixels"),
    "a byte too much": (make_record(PIXELS + b"\0"), "785 bytes are no 784 pixels"),
    "label 10": (make_record(after_label=b"10"), "label 10 is no digit"),
    "label -1": (make_record(after_label=b"-1"), "label -1 is no digit"),
    "label in letters": (make_record(after_label=b"seven"), "seven"),
    "no key": (make_record(key=None), "NoneType"),
    "key that is no number": (make_record(key=b"a digit"), "a digit"),
    "LSN that is no number": (make_record(source_lsn=b"0/16B3748"), "0/16B3748"),
}


@pytest.mark.parametrize("fault", FOREIGN)
def test_foreign_record_is_refused_with_its_place_and_reason(fault: str) -> None:
    record, reason = FOREIGN[fault]
    with pytest.raises(NotADigitError) as refusal:
        decode_event(record)
    assert refusal.value.problem.startswith("record lab.public.mnist_test[2]@17 is no digit: ")
    assert reason in refusal.value.problem
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "prediction",
    [
        PREDICTION,
        replace(PREDICTION, label=None),
        replace(PREDICTION, operation="d", label=None, predicted=None, probabilities=()),
    ],
)
def test_prediction_comes_back_as_it_was_recorded(prediction: Prediction) -> None:
    record = make_record(encode_prediction(prediction), topic="predictions")
    assert decode_prediction(record) == prediction


def test_probabilities_are_recorded_with_four_decimals() -> None:
    (probabilities,) = recorded([[1 / 3, 2 / 3, *[0.0] * 8]])
    record = make_record(encode_prediction(replace(PREDICTION, probabilities=probabilities)), topic="predictions")
    assert b"[0.3333,0.6667,0.0," in record.value
    assert decode_prediction(record).probabilities == (0.3333, 0.6667, *[0.0] * 8)


def changed(**fields: Any) -> bytes:
    """A prediction's JSON with some fields changed; those set to ... are left out."""
    whole = json.loads(encode_prediction(PREDICTION)) | fields
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "Invalid JSON"),
        (b"", "Invalid JSON"),
        (PIXELS, "Invalid JSON"),
        (b"[1]", "object"),
        (changed(row_id=...), "row_id"),
        (changed(offset="last"), "offset"),
        (changed(operation="x"), "operation"),
        (changed(probabilities=None), "probabilities"),
        (changed(predicted=10), "10 is no digit"),
        (changed(label=-1), "-1 is no digit"),
    ],
)
def test_what_is_no_prediction_is_refused_with_its_place(value: bytes | None, reason: str) -> None:
    with pytest.raises(LabError) as refusal:
        decode_prediction(make_record(value, topic="predictions"))
    assert refusal.value.problem.startswith("record predictions[2]@17 is no prediction: ")
    assert reason in refusal.value.problem
    assert "\n" not in str(refusal.value)
