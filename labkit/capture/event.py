"""The change event: one row's change as Debezium captured it and Kafka recorded it."""

from dataclasses import dataclass
from typing import Literal

Operation = Literal["r", "c", "u", "d"]
"""Debezium's codes: r = read by a snapshot, c = create, u = update, d = delete."""

OPERATION_NAMES: dict[Operation, str] = {
    "r": "snapshot",
    "c": "insert",
    "u": "update",
    "d": "delete",
}


def format_lsn(lsn: int) -> str:
    """A log sequence number as PostgreSQL prints it: two hexadecimal halves of 32 bits, ``16/B374D848``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFF_FFFF:X}"


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One committed change of one digit row.

    Times are milliseconds since the Unix epoch, with fractions where the source has them.

    Attributes:
        table: Table name without schema, ``mnist_train`` or ``mnist_test``.
        row_id: Primary key of the row.
        operation: Debezium's operation code.
        label: The row's label after the change, 0 to 9; None for an unlabelled row and a delete.
        pixels: 784 bytes, the 28×28 image row by row; None for a delete.
        lsn: Log sequence number of the change in PostgreSQL's write-ahead log.
        transaction: PostgreSQL transaction id; None for a snapshot read that has none.
        committed_ms: When PostgreSQL committed the transaction.
        captured_ms: When the connector handled the change.
        recorded_ms: Timestamp of the Kafka record.
        topic: Kafka topic of the record.
        partition: Partition of the record.
        offset: Offset of the record in its partition.
        before_label: The label before an update or a delete, if there was one; None for any other event.
    """

    table: str
    row_id: int
    operation: Operation
    label: int | None
    pixels: bytes | None
    lsn: int
    transaction: int | None
    committed_ms: float
    captured_ms: float
    recorded_ms: float
    topic: str
    partition: int
    offset: int
    before_label: int | None = None
