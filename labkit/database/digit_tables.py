"""The digit tables: insert one, COPY many, relabel, delete, count. Every write survives a restart of the server."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import LiteralString, TypeVar

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import errors, sql

from labkit.database.schema import TABLES, create_schema, id_sequence, schema_problem
from labkit.digits import Digits, check_label, check_pixels
from labkit.errors import LabError
from labkit.settings import TEST_TABLE, Endpoints

Result = TypeVar("Result")


class DigitTables:
    """The two tables of digits, over one connection that mends itself.

    Safe to share between threads: one statement runs at a time.

    Args:
        endpoints: Where PostgreSQL answers.
        patience_s: How long a write keeps trying while the server is away, seconds.
    """

    def __init__(self, endpoints: Endpoints, patience_s: float = 60.0) -> None:
        self._endpoints = endpoints
        self._patience_s = patience_s
        self._connection: psycopg.Connection | None = None
        self._lock = threading.Lock()

    def setup(self) -> None:
        """Make tables, capture role and publication where they are missing."""
        user, password = self._endpoints.capture_user, self._endpoints.capture_password
        self._run(lambda connection: create_schema(connection, user, password))

    def problem(self) -> str:
        """Why changes of a table could not be captured, such as one that was dropped; empty where all is well.

        Raises:
            LabError: The server stayed away.
        """
        return self._run(schema_problem)

    def insert(self, pixels: npt.ArrayLike, label: int | None, table: str = TEST_TABLE) -> int:
        """Insert one digit.

        The id is drawn from the sequence first and inserted by name, so that trying again after a lost connection,
        when nobody knows whether the commit arrived, cannot insert the digit twice.

        Args:
            pixels: 28×28 or 784 values, uint8.
            label: 0 to 9, or None if it is not known yet.
            table: ``mnist_train`` or ``mnist_test``.

        Returns:
            The new row's id.

        Raises:
            LabError: Not a digit, no such table, or the server stayed away.
        """
        content, number = check_pixels(pixels).tobytes(), check_label(label)
        name = _table(table)
        (row_id,) = self._reserve(table, 1)
        statement = sql.SQL("INSERT INTO {} (id, label, pixels) VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING")
        self._run(lambda connection: connection.execute(statement.format(name), [row_id, number, content]))
        return row_id

    def copy(self, digits: Digits, table: str) -> list[int]:
        """Insert many digits in one transaction by COPY.

        Returns:
            The new rows' ids, in the order of the digits.

        Raises:
            LabError: No such table, or the server stayed away.
        """
        name = _table(table)
        ids = self._reserve(table, len(digits))

        def copy_once(connection: psycopg.Connection) -> None:
            with connection.transaction():
                there = connection.execute(
                    sql.SQL("SELECT count(*) FROM {} WHERE id = ANY(%s)").format(name), [ids]
                ).fetchone()
                if there == (len(ids),):
                    return  # A try before this one was committed; only its answer was lost.
                command = sql.SQL("COPY {} (id, label, pixels) FROM STDIN (FORMAT binary)").format(name)
                with connection.cursor().copy(command) as copy:
                    copy.set_types(["int4", "int2", "bytea"])
                    for row_id, image, label in zip(ids, digits.images, digits.labels, strict=True):
                        copy.write_row((row_id, int(label), image.tobytes()))

        if ids:
            self._run(copy_once)
        return ids

    def relabel(self, row_id: int, label: int | None, table: str = TEST_TABLE) -> None:
        """Say what a digit really is.

        Raises:
            LabError: Not a label, or no such row.
        """
        number = check_label(label)
        statement = sql.SQL("UPDATE {} SET label = %s WHERE id = %s").format(_table(table))
        self._run(lambda connection: _one_row(connection.execute(statement, [number, row_id]), row_id, table))

    def delete(self, row_id: int, table: str = TEST_TABLE) -> None:
        """Delete a digit. Deleting what is gone already is no error: a repeated click means the same.

        Raises:
            LabError: No such table, or the server stayed away.
        """
        statement = sql.SQL("DELETE FROM {} WHERE id = %s").format(_table(table))
        self._run(lambda connection: connection.execute(statement, [row_id]))

    def empty(self, table: str) -> None:
        """Delete every row of a table, each as a change event of its own."""
        statement = sql.SQL("DELETE FROM {}").format(_table(table))
        self._run(lambda connection: connection.execute(statement))

    def count(self, table: str) -> int:
        """Rows of a table."""
        return len(self.labels(table))

    def labels(self, table: str) -> dict[int, int | None]:
        """Label of each row, by id."""
        statement = sql.SQL("SELECT id, label FROM {}").format(_table(table))
        return dict(self._run(lambda connection: connection.execute(statement).fetchall()))

    def transactions(self, row_ids: Sequence[int], table: str = TEST_TABLE) -> dict[int, int]:
        """The transaction that wrote the present version of some rows, by id (PostgreSQL's ``xmin``)."""
        statement = sql.SQL("SELECT id, xmin::text::bigint FROM {} WHERE id = ANY(%s)").format(_table(table))
        return dict(self._run(lambda connection: connection.execute(statement, [list(row_ids)]).fetchall()))

    def image(self, row_id: int, table: str = TEST_TABLE) -> npt.NDArray[np.uint8]:
        """One row's 28×28 image, uint8.

        Raises:
            LabError: No such row.
        """
        statement = sql.SQL("SELECT pixels FROM {} WHERE id = %s").format(_table(table))
        row = self._run(lambda connection: connection.execute(statement, [row_id]).fetchone())
        if row is None:
            raise LabError(f"there is no row {row_id} in {table}", "look at the event feed for rows that exist")
        return check_pixels(row[0])

    def pixels(self, row_ids: Sequence[int], table: str = TEST_TABLE) -> dict[int, bytes]:
        """The 784 bytes of some rows, by id; rows that are not there are left out."""
        statement = sql.SQL("SELECT id, pixels FROM {} WHERE id = ANY(%s)").format(_table(table))
        return dict(self._run(lambda connection: connection.execute(statement, [list(row_ids)]).fetchall()))

    def delete_anew(self, row_ids: Sequence[int], table: str = TEST_TABLE) -> list[int]:
        """Insert rows that are gone once more, empty, and delete them in the same transaction.

        For rows whose deletion has left no change event: this leaves one. A row that is there is left alone.

        Returns:
            The rows of which that was done.
        """
        name = _table(table)
        insert = sql.SQL(
            "INSERT INTO {} (id, pixels) SELECT id, decode(repeat('00', 784), 'hex') FROM unnest(%s::int[]) AS id "
            "ON CONFLICT (id) DO NOTHING RETURNING id"
        ).format(name)
        delete = sql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(name)

        def insert_and_delete(connection: psycopg.Connection) -> list[int]:
            with connection.transaction():
                inserted = [row[0] for row in connection.execute(insert, [list(row_ids)])]
                connection.execute(delete, [inserted])
            return inserted

        return self._run(insert_and_delete) if row_ids else []

    def highest_id(self, table: str) -> int:
        """The highest id that was ever drawn for a row of a table; 0 before the first."""
        statement = sql.SQL("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}").format(
            sql.Identifier(id_sequence(table))
        )
        found = self._run(lambda connection: connection.execute(statement).fetchone())
        return found[0] if found else 0

    def slots(self) -> dict[str, str | None]:
        """The replication slots: by name, why PostgreSQL has given one up, or None."""
        statement: LiteralString = (
            "SELECT slot_name, CASE WHEN wal_status = 'lost' THEN coalesce(invalidation_reason, 'lost') END "
            "FROM pg_replication_slots"
        )
        return dict(self._run(lambda connection: connection.execute(statement).fetchall()))

    def mark_log(self) -> int:
        """Put a message into PostgreSQL's write-ahead log, which moves on whoever reads it; returns the LSN before it.

        All that was committed by now is before that LSN. Nothing may come after it for long.
        """
        statement: LiteralString = (
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, "
            "pg_logical_emit_message(false, 'mark', now()::text)"
        )
        found = self._run(lambda connection: connection.execute(statement).fetchone())
        return found[0] if found else 0

    def confirmed(self, slot: str) -> int | None:
        """Up to which LSN the reader of a replication slot has confirmed the log; None without such a slot."""
        statement: LiteralString = (
            "SELECT pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint FROM pg_replication_slots WHERE slot_name = %s"
        )
        found = self._run(lambda connection: connection.execute(statement, [slot]).fetchone())
        return found[0] if found else None

    def slot_lag(self, slot: str) -> int | None:
        """WAL since what the reader of a replication slot last confirmed, bytes; None without such a slot."""
        statement: LiteralString = (
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint FROM pg_replication_slots "
            "WHERE slot_name = %s"
        )
        found = self._run(lambda connection: connection.execute(statement, [slot]).fetchone())
        return found[0] if found else None

    def slot_reader(self, slot: str) -> str:
        """Who reads a replication slot now, such as ``pg_recvlogical, PostgreSQL's process 4711``."""
        statement: LiteralString = (
            "SELECT application_name, pid FROM pg_replication_slots JOIN pg_stat_replication ON pid = active_pid "
            "WHERE slot_name = %s"
        )
        found = self._run(lambda connection: connection.execute(statement, [slot]).fetchone())
        return f"{found[0] or 'a program without a name'}, PostgreSQL's process {found[1]}" if found else "nobody"

    def drop_slot(self, slot: str) -> None:
        """Drop a replication slot that no connector uses any more; it would keep WAL for ever."""
        statement: LiteralString = (
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"
        )
        self._run(lambda connection: connection.execute(statement, [slot]))

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        with self._lock:
            self._drop_connection()

    def _reserve(self, table: str, count: int) -> list[int]:
        rows = self._run(
            lambda connection: connection.execute(
                "SELECT nextval(%s::regclass) FROM generate_series(1, %s)", [id_sequence(table), count]
            ).fetchall()
        )
        return [row[0] for row in rows]

    def _run(self, work: Callable[[psycopg.Connection], Result]) -> Result:
        """Do repeatable work; while the server is away, wait and try again."""
        deadline = time.monotonic() + self._patience_s
        with self._lock:
            while True:
                try:
                    if self._connection is None:
                        self._connection = psycopg.connect(self._endpoints.postgres, autocommit=True)
                    return work(self._connection)
                except psycopg.OperationalError as error:
                    self._drop_connection()
                    if isinstance(error, errors.DiskFull) or time.monotonic() > deadline:
                        raise LabError(f"PostgreSQL: {str(error).strip()}", "labkit status") from error
                    time.sleep(0.2)
                except errors.UndefinedTable as error:
                    raise LabError(f"PostgreSQL: {error.diag.message_primary}", "labkit up makes it anew") from error
                except psycopg.Error as error:
                    raise LabError(f"PostgreSQL: {str(error).strip()}", "labkit status") from error

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _table(name: str) -> sql.Identifier:
    if name not in TABLES:
        raise LabError(f"there is no table {name!r}", f"one of {', '.join(TABLES)}")
    return sql.Identifier(name)


def _one_row(cursor: psycopg.Cursor[tuple[object, ...]], row_id: int, table: str) -> None:
    if cursor.rowcount != 1:
        raise LabError(f"there is no row {row_id} in {table}", "look at the event feed for rows that exist")
