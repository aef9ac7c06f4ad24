"""What captures, measured: how soon a row's record can be read, how many rows a second, and what memory that takes.

The same for Kafka Connect and Debezium Server, seen from outside: by a reader of committed records.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType

from labkit.errors import LabError
from labkit.lab import Lab
from labkit.settings import CAPTURE_ROUTES
from labkit.stack.base import ServiceStatus
from labkit.stack.debezium_server import service
from labkit.stream.librdkafka import SwiftReader
from labkit.stream.topics import offset_range

PAUSE_S = 0.05
"""Between two single inserts: each is alone on its way."""
AT_ONCE = 2000
PATIENCE_S = 180.0
"""A killed server comes back well before, also on a busy machine."""


class Arrivals(AbstractContextManager["Arrivals"]):
    """When the records of a topic of the bytes route are read, in a thread, from the topic's present end on.

    Args:
        servers: Kafka's bootstrap servers.
        topic: A topic whose records have the row's id as key.

    Attributes:
        reads: Of every record the row's id and when it was read, by `time.monotonic`, seconds.
        seen: By row id, when its first record was read.
    """

    def __init__(self, servers: str, topic: str) -> None:
        ends = {partition: end for partition, (_, end) in offset_range(servers, topic).items()}
        # kafka-python's reader now and then handed out a record 100 ms late here: it would measure itself.
        self._reader = SwiftReader(servers, ends)
        self.reads: list[tuple[int, float]] = []
        self.seen: dict[int, float] = {}
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1, "labkit-arrivals")
        self._reading = self._pool.submit(self._read)

    def _read(self) -> None:
        while not self._stop.is_set():
            records = self._reader.poll(0.1, AT_ONCE)
            now = time.monotonic()
            for record in records:
                row_id = int(record.key or b"")
                self.reads.append((row_id, now))
                self.seen.setdefault(row_id, now)

    def wait(self, rows: Collection[int]) -> None:
        """Wait until a record of each of these rows was read.

        Raises:
            LabError: Some have not come in time, or the topic cannot be read any more.
            ValueError: A record's key is no row's id.
        """
        deadline = time.monotonic() + PATIENCE_S
        while missing := [row_id for row_id in rows if row_id not in self.seen]:
            if self._reading.done():
                self._reading.result()  # Raises what has ended it.
            if time.monotonic() > deadline:
                raise LabError(
                    f"of {len(rows)} rows {len(missing)} have not come after {PATIENCE_S:.0f} s", "labkit status"
                )
            time.sleep(0.01)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown()
        self._reader.close()


def capturing(lab: Lab) -> list[ServiceStatus]:
    """The processes that capture for Kafka: Connect's only one, or Debezium Server's, one for each route."""
    names = {"connect", *map(service, CAPTURE_ROUTES)}
    return [process for process in lab.stack.status() if process.name in names and process.pid]


def start_s(lab: Lab, arrivals: Arrivals, insert: Callable[[], int]) -> float:
    """Seconds that what captures takes from its start, stopped before, until a record can be read.

    Args:
        lab: A lab that captures.
        arrivals: Of the table that `insert` writes to.
        insert: Inserts one row and returns its id.
    """
    names = [process.name for process in capturing(lab)]
    for name in names:
        lab.stack.stop_service(name)
    row_id = insert()
    started = time.monotonic()
    for name in names:
        lab.stack.start_service(name)
    arrivals.wait([row_id])
    return arrivals.seen[row_id] - started


def delays_ms(arrivals: Arrivals, insert: Callable[[], int], count: int) -> list[float]:
    """Milliseconds from the return of an insert until its record was read: of some inserts, in ascending order.

    Args:
        arrivals: Of the table that `insert` writes to.
        insert: Inserts one row and returns its id.
        count: How many, one after the other, `PAUSE_S` apart.
    """
    returned: dict[int, float] = {}
    for _ in range(count):
        row_id = insert()
        returned[row_id] = time.monotonic()
        time.sleep(PAUSE_S)
    arrivals.wait(returned)
    return sorted(1000 * (arrivals.seen[row_id] - at) for row_id, at in returned.items())


def rows_a_second(arrivals: Arrivals, insert_many: Callable[[int], Sequence[int]], count: int) -> float:
    """Rows a second from the commit of many at once until the last of their records was read.

    Args:
        arrivals: Of the table that `insert_many` writes to.
        insert_many: Inserts rows in one transaction and returns their ids.
        count: How many.
    """
    rows = insert_many(count)
    committed = time.monotonic()
    arrivals.wait(rows)
    return count / (max(arrivals.seen[row_id] for row_id in rows) - committed)
