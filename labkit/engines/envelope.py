"""From Debezium's envelope, as Flink CDC hands it out, to a digit's change."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from labkit.capture.event import OPERATION_NAMES, Operation
from labkit.digits import PIXELS, check_label
from labkit.errors import LabError
from labkit.stream.events import NotADigitError


@dataclass(frozen=True, slots=True)
class EnvelopeChange:
    """One change of a digit row; the fields are those of `labkit.capture.event.ChangeEvent`."""

    row_id: int
    operation: Operation
    label: int | None
    pixels: bytes | None
    lsn: int
    committed_ms: float


def decode_envelope(envelope: str) -> EnvelopeChange:
    """Read Debezium's envelope, JSON without a schema.

    A row that Flink CDC found in its snapshot comes without LSN and commit time: it counts as of LSN 0, before every
    other change, and of the time when it was read.

    Raises:
        NotADigitError: It is no envelope, or its row is no digit.
    """
    try:
        fields: Any = json.loads(envelope)
        operation, source = fields["op"], fields["source"]
        if operation not in OPERATION_NAMES:
            raise ValueError(f"unknown operation {operation!r}")
        gone = operation == "d"
        row = fields["before" if gone else "after"]
        pixels = None if gone else base64.b64decode(row["pixels"], validate=True)
        if pixels is not None and len(pixels) != PIXELS:
            raise ValueError(f"{len(pixels)} bytes are no {PIXELS} pixels")
        return EnvelopeChange(
            row_id=int(row["id"]),
            operation=operation,
            label=None if gone else check_label(row["label"]),
            pixels=pixels,
            lsn=int(source["lsn"] or 0),
            committed_ms=float(source["ts_ms"] or fields["ts_ms"]),
        )
    except LabError as error:
        raise NotADigitError(f"a change is no digit: {error.problem}", "it is passed over") from error
    except (KeyError, TypeError, ValueError) as error:
        reason = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise NotADigitError(f"a change is no digit: {reason}", "it is passed over") from error
