"""From a Kafka record of the bytes route to a change event."""

import logging
from collections.abc import Iterable
from typing import Any, cast

from labkit.capture.event import OPERATION_NAMES, ChangeEvent
from labkit.digits import PIXELS
from labkit.errors import LabError
from labkit.stream.record import AnyRecord

log = logging.getLogger(__name__)


class NotADigitError(LabError):
    """A record that is no change event of a digit row."""


def decode_event(record: AnyRecord) -> ChangeEvent:
    """Decode one record of the bytes route.

    The key is the row id, the value the 784 pixels or nothing, and Debezium's headers carry the rest.

    Args:
        record: A record as it was read, nothing deserialised.

    Raises:
        NotADigitError: The record is not of that form; the message says where it is and what is wrong.
    """
    headers: dict[str, bytes | None] = dict(record.headers)
    value: bytes | None = record.value
    try:
        operation = _text(headers, "__op")
        if operation not in OPERATION_NAMES:
            raise ValueError(f"unknown operation {operation!r}")
        if operation != "d" and (value is None or len(value) != PIXELS):
            raise ValueError(f"{0 if value is None else len(value)} bytes are no {PIXELS} pixels")
        number = _digit(headers.get("__after_label"))
        transaction = headers.get("__source_txId")
        return ChangeEvent(
            table=str(record.topic).rpartition(".")[2],
            row_id=int(cast(bytes, record.key)),
            operation=operation,
            label=None if operation == "d" else number,
            pixels=None if operation == "d" else value,
            lsn=int(_text(headers, "__source_lsn")),
            transaction=None if transaction is None else int(transaction),
            committed_ms=int(_text(headers, "__source_ts_us")) / 1000,
            captured_ms=int(_text(headers, "__ts_us")) / 1000,
            recorded_ms=float(record.timestamp),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            before_label=_digit(headers.get("__before_label")) if operation in ("u", "d") else None,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise NotADigitError(
            f"record {record.topic}[{record.partition}]@{record.offset} is no digit: {_reason(error)}",
            "it is passed over; find out who else writes to this topic",
        ) from error


def decode_events(records: Iterable[AnyRecord]) -> list[ChangeEvent]:
    """Decode records of the bytes route. One that is no change event of a digit is logged and passed over."""
    events: list[ChangeEvent] = []
    for record in records:
        try:
            events.append(decode_event(record))
        except NotADigitError as error:
            log.warning("%s", error)
    return events


def _digit(label: bytes | None) -> int | None:
    if label is None:
        return None
    number = int(label)
    if not 0 <= number <= 9:
        raise ValueError(f"label {number} is no digit")
    return number


def _text(headers: dict[str, bytes | None], name: str) -> str:
    value: Any = headers[name]
    if value is None:
        raise ValueError(f"header {name} is empty")
    return cast(bytes, value).decode()


def _reason(error: Exception) -> str:
    return f"header {error} is missing" if isinstance(error, KeyError) else str(error)
