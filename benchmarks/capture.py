"""Kafka Connect and Debezium Server side by side, in the same lab, on the same rows.

    .venv/bin/python -m benchmarks.capture --rows 20000

It starts a lab of its own with each in turn, and prints as JSON: seconds until the routes run, memory of what captures,
milliseconds from an insert's return until its record can be read, and rows a second from the commit of a COPY until the
last of them can be read. A reader of committed records is what counts in both cases.
"""

import json
import statistics
import threading
import time
from typing import Annotated, Any

import numpy as np
import typer
from kafka.structs import TopicPartition

from labkit import Lab
from labkit.digits import Digits, load_digits
from labkit.settings import BYTES_PREFIX, TEST_TABLE, CaptureName, load_settings, table_topic
from labkit.stream.reading import open_reader
from labkit.stream.topics import offset_range

TOPIC = table_topic(BYTES_PREFIX, TEST_TABLE)
PAUSE_S = 0.05
PATIENCE_S = 300.0


class Arrivals:
    """When each row's record was first read, read in a thread."""

    def __init__(self, servers: str) -> None:
        ends = {partition: end for partition, (_, end) in offset_range(servers, TOPIC).items()}
        self._reader = open_reader(servers, ends)
        self.seen: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            for record in self._reader.poll(timeout_ms=100).get(TopicPartition(TOPIC, 0), []):
                self.seen.setdefault(int(record.key), time.monotonic())

    def wait(self, count: int) -> None:
        """Wait until so many rows were read."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.seen) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.seen)} of {count} rows were read")
            time.sleep(0.01)

    def close(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join()
        self._reader.close()


def measure(lab: Lab, inserts: int, rows: int) -> dict[str, Any]:
    """The figures of whatever captures in a running lab."""
    arrivals = Arrivals(lab.kafka)
    digits = load_digits("bundled", "test")
    returned: dict[int, float] = {}
    for number in range(inserts):
        row_id = lab.insert(digits.images[number % len(digits)], 1)
        returned[row_id] = time.monotonic()
        time.sleep(PAUSE_S)
    arrivals.wait(inserts)
    delays = sorted(1000 * (arrivals.seen[row_id] - at) for row_id, at in returned.items())

    pixels = np.random.default_rng(0).integers(0, 256, (rows, 28, 28), np.uint8)
    lab.tables.copy(Digits(pixels, np.ones(rows, np.uint8), "random"), TEST_TABLE)
    committed = time.monotonic()
    arrivals.wait(inserts + rows)
    seconds = max(arrivals.seen.values()) - committed
    arrivals.close()
    names = ("connect", "server-csv", "server-bytes")
    return {
        "insert_to_record_ms": {"p50": statistics.median(delays), "p95": delays[int(0.95 * inserts)]},
        "copy_rows_a_second": round(rows / seconds),
        "memory_mib": {s.name: round(s.rss_mib) for s in lab.status() if s.name in names},
    }


def main(
    inserts: Annotated[int, typer.Option()] = 200,
    rows: Annotated[int, typer.Option()] = 20_000,
    rounds: Annotated[int, typer.Option(help="How often each has its turn.")] = 1,
) -> None:
    """Run it."""
    captures: tuple[CaptureName, ...] = ("connect", "server")
    settings = load_settings().model_copy(update={"home": load_settings().home / "benchmark"})
    Lab(settings).down(report=lambda _: None)
    figures: list[dict[str, Any]] = []
    try:
        for capture in captures * rounds:
            lab = Lab(settings.model_copy(update={"capture": capture}))
            started = time.monotonic()
            lab.up(lambda line: typer.echo(line, err=True))
            up_s = time.monotonic() - started
            lab.capture()
            lab.stop_scorer()  # Nobody else shall take the processors.
            until_captured_s = time.monotonic() - started
            idle = {
                s.name: round(s.rss_mib) for s in lab.status() if s.pid and s.name.startswith(("connect", "server-"))
            }
            seconds = {"up_s": round(up_s, 1), "until_captured_s": round(until_captured_s, 1)}
            figures.append({"capture": capture, **seconds, "idle_mib": idle, **measure(lab, inserts, rows)})
            typer.echo(json.dumps(figures[-1]), err=True)
            lab.close()
    finally:
        Lab(settings).down(report=lambda _: None)
    typer.echo(json.dumps(figures, indent=2))


if __name__ == "__main__":
    typer.run(main)
