"""Predictions kept in PostgreSQL: what the HTTP route records in place of a topic."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import psycopg

from labkit.errors import LabError
from labkit.settings import Endpoints

TABLE = "predictions"
"""Not captured: it is in no publication."""

CREATE = """
CREATE TABLE IF NOT EXISTS predictions (
    row_id        integer NOT NULL,
    lsn           bigint NOT NULL,
    operation     text NOT NULL,
    label         smallint,
    predicted     smallint,
    model_version text NOT NULL,
    committed_at  timestamptz NOT NULL,
    predicted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (row_id, lsn)
)
"""
INSERT = """
INSERT INTO predictions (row_id, lsn, operation, label, predicted, model_version, committed_at)
VALUES (%s, %s, %s, %s, %s, %s, to_timestamp(%s)) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class RowPrediction:
    """What the model said of one change of a row.

    Attributes:
        row_id: Primary key of the row.
        lsn: Log sequence number of the change: with the row its identity, so that one told twice is recorded once.
        operation: Debezium's code of the change.
        label: The row's label after the change; None where it has none, or is gone.
        predicted: The most probable digit; None for a delete.
        model_version: Version of the model that predicted.
        committed_s: When PostgreSQL committed the change, seconds since the Unix epoch.
    """

    row_id: int
    lsn: int
    operation: str
    label: int | None
    predicted: int | None
    model_version: str
    committed_s: float


class PredictionTable:
    """The table of predictions.

    Args:
        endpoints: Where PostgreSQL answers.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._connection: psycopg.Connection | None = None

    def setup(self) -> None:
        """Make the table where it is missing."""
        self._connected().execute(CREATE)

    def record(self, predictions: Sequence[RowPrediction]) -> None:
        """Record predictions in one transaction. Those of a change that is recorded already are passed over.

        Raises:
            LabError: PostgreSQL is away.
        """
        try:
            connection = self._connected()
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(INSERT, [astuple(prediction) for prediction in predictions])
        except psycopg.Error as error:
            self.close()
            raise LabError(f"PostgreSQL does not record: {str(error).strip()}", "labkit status") from error

    def close(self) -> None:
        """Let go of the connection; the next call makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = psycopg.connect(self._endpoints.postgres, autocommit=True)
        return self._connection
