"""What is written in each phase, and what of it was committed."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import TypeVar

import numpy as np
import psycopg

from labkit import Lab, LabError
from labkit.digits import Digits, load_digits
from labkit.settings import BYTES_ROUTE, TEST_TABLE
from tests.chaos.plan import Phase

Result = TypeVar("Result")
PATIENCE_S = 120.0
RATE = 60.0
SINGLE, COPIED, LARGE, CHANGED = 200, 3000, 20_000, 120


class Work:
    """Writes to one lab for as long as a phase asks, and keeps account of what PostgreSQL has answered.

    Args:
        lab: The running lab.

    Attributes:
        committed: Rows that PostgreSQL said are committed, with their newest label.
        deleted: Rows that it said are deleted.
        tried_again: How often a command had to be given again, as a person would.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._digits = load_digits("bundled", "test")
        self.committed: dict[int, int] = {}
        self.deleted: set[int] = set()
        self.tried_again = 0

    def prepare(self, phase: Phase) -> None:
        """What has to be so before a phase begins."""
        if phase == "snapshot":
            self._persist(lambda: self._lab.release(BYTES_ROUTE))
        elif phase == "relabels and deletes":
            self._copy(CHANGED)

    def do(self, phase: Phase) -> None:
        """Do what a phase asks."""
        ways: Mapping[Phase, Callable[[], None]] = {
            "snapshot": self._snapshot,
            "inserts": self._inserts,
            "copy": self._copies,
            "relabels and deletes": self._changes,
            "one large transaction": lambda: self._copy(LARGE),
            "schema change": self._schema_change,
        }
        ways[phase]()

    def probe(self) -> int:
        """Insert one row."""
        return self._insert(0)

    def _snapshot(self) -> None:
        self._persist(lambda: self._lab.capture(BYTES_ROUTE))

    def _inserts(self) -> None:
        with self._beside():
            for number in range(SINGLE):
                self._insert(number)
                time.sleep(1 / RATE)

    def _copies(self) -> None:
        with self._beside():
            for _ in range(5):
                self._copy(COPIED // 5)

    @contextmanager
    def _beside(self) -> Generator[None]:
        """A transaction beside, with a change before and one after what is done in it; a fault may take it back."""
        connection = self._persist(lambda: psycopg.connect(self._lab.endpoints.postgres))
        with closing(connection):
            ids = [self._insert_beside(connection)]
            yield
            with suppress(psycopg.Error):
                ids.append(self._insert_beside(connection))
                connection.commit()
                self.committed.update(dict.fromkeys(ids, 0))

    def _insert_beside(self, connection: psycopg.Connection) -> int:
        content = self._digits.images[0].tobytes()
        statement = "INSERT INTO mnist_test (label, pixels) VALUES (0, %s) RETURNING id"
        ((row_id,),) = connection.execute(statement, [content]).fetchall()
        return row_id

    def _changes(self) -> None:
        rows = sorted(self.committed)[-CHANGED:]
        for row_id in rows[: 2 * CHANGED // 3]:
            label = (self.committed[row_id] + 1) % 10
            self._persist(lambda row_id=row_id, label=label: self._lab.relabel(row_id, label))
            self.committed[row_id] = label
            time.sleep(1 / RATE)
        for row_id in rows[CHANGED // 2 :]:
            self._persist(lambda row_id=row_id: self._lab.delete(row_id))
            del self.committed[row_id]
            self.deleted.add(row_id)
            time.sleep(1 / RATE)

    def _schema_change(self) -> None:
        for statement in ("ADD COLUMN IF NOT EXISTS note text DEFAULT 'none'", "DROP COLUMN IF EXISTS note"):
            for number in range(SINGLE // 3):
                self._insert(number)
                time.sleep(1 / RATE)
            self._persist(lambda statement=statement: self._alter(statement))
        for number in range(SINGLE // 3):
            self._insert(number)
            time.sleep(1 / RATE)

    def _alter(self, change: str) -> None:
        with psycopg.connect(self._lab.endpoints.postgres, autocommit=True) as connection:
            connection.execute(f"ALTER TABLE {TEST_TABLE} {change}".encode())

    def _insert(self, number: int) -> int:
        place = number % len(self._digits)
        label = int(self._digits.labels[place])
        row_id = self._persist(lambda: self._lab.insert(self._digits.images[place], label))
        self.committed[row_id] = label
        return row_id

    def _copy(self, count: int) -> None:
        places = np.arange(count) % len(self._digits)
        digits = Digits(self._digits.images[places], self._digits.labels[places], "chaos")
        ids = self._persist(lambda: self._lab.tables.copy(digits, TEST_TABLE))
        self.committed.update(zip(ids, map(int, digits.labels), strict=True))

    def _persist(self, command: Callable[[], Result]) -> Result:
        """Give a command, and again where it is refused: the fault passes."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return command()
            except (LabError, psycopg.Error):
                if time.monotonic() > deadline:
                    raise
                self.tried_again += 1
                time.sleep(0.5)
