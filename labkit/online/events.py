"""From records of the iris topics to rows of a transaction, and to the end of one.

Debezium tells of each row in which transaction it was changed, and of each transaction, in a topic of its own, how many
rows it changed in which table:
https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-transaction-metadata
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labkit.errors import LabError
from labkit.online.iris import FEATURES
from labkit.settings import table_topic

log = logging.getLogger(__name__)

PREFIX = "iris"
"""Topic prefix of the route, see labkit/capture/connectors/iris.json."""
TRAIN_TABLE = "iris_train"
TEST_TABLE = "iris_test"
TRAIN_TOPIC = table_topic(PREFIX, TRAIN_TABLE)
TEST_TOPIC = table_topic(PREFIX, TEST_TABLE)
TRANSACTIONS_TOPIC = f"{PREFIX}.transaction"
SOURCES = (TRAIN_TOPIC, TEST_TOPIC, TRANSACTIONS_TOPIC)
"""What a job reads. Each has one partition."""

Centimetres = Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]


class Flower(BaseModel):
    """A row of an iris table; lengths in centimetres, the label 0, 1, 2 or not known."""

    # Strict: "5.1" is no number, and true is no label.
    model_config = ConfigDict(strict=True, frozen=True)

    id: int
    sepal_length: Centimetres
    sepal_width: Centimetres
    petal_length: Centimetres
    petal_width: Centimetres
    label: int | None = Field(ge=0, le=2)

    @property
    def features(self) -> tuple[float, ...]:
        """The four lengths in the order of `FEATURES`."""
        return tuple(getattr(self, name) for name in FEATURES)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a row.

    Attributes:
        offset: Its record's, in the table's topic.
        transaction: PostgreSQL's number of that in which it was committed.
        flower: The inserted row; None where the change inserts no flower. It counts all the same.
    """

    offset: int
    transaction: str
    flower: Flower | None


@dataclass(frozen=True, slots=True)
class TransactionEnd:
    """The end of a transaction.

    Attributes:
        offset: Its record's, in the topic of transactions.
        transaction: Which.
        changes: How many rows it changed, by their topic.
    """

    offset: int
    transaction: str
    changes: Mapping[str, int]


class ForeignRecordError(LabError):
    """A record that Debezium's route of the iris tables did not write."""


def decode_change(topic: str, offset: int, value: bytes | None) -> Change:
    """Decode a record of a table's topic.

    A row that is no flower, an update and a delete are logged: they are part of their transaction and no more.

    Raises:
        ForeignRecordError: It names no transaction; the message says where it is.
    """
    fields = _fields(topic, offset, value)
    transaction = fields.get("__transaction_id")
    if not isinstance(transaction, str):
        raise _foreign(topic, offset, "it names no transaction")
    transaction = _number(transaction)
    if fields.get("__op") != "c":
        log.warning("record %s@%d inserts nothing and is passed over", topic, offset)
        return Change(offset, transaction, None)
    try:
        return Change(offset, transaction, Flower.model_validate_json(value or b""))
    except ValidationError as error:
        first = error.errors()[0]
        reason = " ".join([*map(str, first["loc"]), first["msg"]])
        log.warning("record %s@%d is no flower and is passed over: %s", topic, offset, reason)
        return Change(offset, transaction, None)


def decode_end(offset: int, value: bytes | None) -> TransactionEnd | None:
    """Decode a record of the topic of transactions; None where one begins.

    Raises:
        ForeignRecordError: It is neither a beginning nor an end.
    """
    fields = _fields(TRANSACTIONS_TOPIC, offset, value)
    if fields.get("status") == "BEGIN":
        return None
    try:
        changes = {f"{PREFIX}.{table['data_collection']}": int(table["event_count"])
                   for table in fields["data_collections"]}  # fmt: skip
        if fields["status"] != "END":
            raise ValueError("unknown status")
        return TransactionEnd(offset, _number(str(fields["id"])), changes)
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(TRANSACTIONS_TOPIC, offset, "it is no end of a transaction") from error


def _number(transaction: str) -> str:
    # Debezium puts a position in the log behind it, and at the end of a transaction another one than at its rows.
    return transaction.partition(":")[0]


def _fields(topic: str, offset: int, value: bytes | None) -> dict[str, Any]:
    try:
        fields = json.loads(value or b"")
    except ValueError as error:
        raise _foreign(topic, offset, "it is no JSON") from error
    if not isinstance(fields, dict):
        raise _foreign(topic, offset, "it is no JSON object")
    return fields


def _foreign(topic: str, offset: int, reason: str) -> ForeignRecordError:
    return ForeignRecordError(
        f"record {topic}@{offset} is not of the iris tables: {reason}",
        "it is passed over; find out who else writes to this topic",
    )
