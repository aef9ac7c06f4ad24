"""Kafka Connect and Debezium Server side by side, in the same lab, on the same rows.

    .venv/bin/python -m benchmarks.capture --rows 20000

It starts a lab of its own with each in turn, and prints as JSON: seconds until the routes run, memory of what captures,
milliseconds from an insert's return until its record can be read, and rows a second from the commit of a COPY until the
last of them can be read. A reader of committed records is what counts in both cases.
"""

import itertools
import json
import statistics
import time
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.own_lab import own_settings, to_terminal
from labkit import Lab
from labkit.course.capture_figures import Arrivals, capturing, delays_ms, rows_a_second
from labkit.digits import Digits, load_digits
from labkit.settings import BYTES_PREFIX, TEST_TABLE, CaptureName, table_topic

TOPIC = table_topic(BYTES_PREFIX, TEST_TABLE)


def measure(lab: Lab, inserts: int, rows: int) -> dict[str, Any]:
    """The figures of whatever captures in a running lab."""
    images = itertools.cycle(load_digits("bundled", "test").images)

    def copy(count: int) -> list[int]:
        pixels = np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)
        return lab.tables.copy(Digits(pixels, np.ones(count, np.uint8), "random"), TEST_TABLE)

    with Arrivals(lab.kafka, TOPIC) as arrivals:
        delays = delays_ms(arrivals, lambda: lab.insert(next(images), 1), inserts)
        rate = rows_a_second(arrivals, copy, rows)
    return {
        "insert_to_record_ms": {"p50": statistics.median(delays), "p95": delays[int(0.95 * inserts)]},
        "copy_rows_a_second": round(rate),
        "memory_mib": memory_mib(lab),
    }


def memory_mib(lab: Lab) -> dict[str, int]:
    """Resident memory of each process that captures, MiB."""
    return {process.name: round(process.rss_mib) for process in capturing(lab)}


def main(
    inserts: Annotated[int, typer.Option()] = 200,
    rows: Annotated[int, typer.Option()] = 20_000,
    rounds: Annotated[int, typer.Option(help="How often each has its turn.")] = 1,
) -> None:
    """Run it."""
    captures: tuple[CaptureName, ...] = ("connect", "server")
    settings = own_settings()
    Lab(settings).down(report=lambda _: None)
    figures: list[dict[str, Any]] = []
    try:
        for capture in captures * rounds:
            lab = Lab(settings.model_copy(update={"capture": capture}))
            started = time.monotonic()
            lab.up(to_terminal)
            up_s = time.monotonic() - started
            lab.capture()
            lab.stop_scorer()  # Nobody else shall take the processors.
            until_captured_s = time.monotonic() - started
            idle = memory_mib(lab)
            seconds = {"up_s": round(up_s, 1), "until_captured_s": round(until_captured_s, 1)}
            figures.append({"capture": capture, **seconds, "idle_mib": idle, **measure(lab, inserts, rows)})
            typer.echo(json.dumps(figures[-1]), err=True)
            lab.close()
    finally:
        Lab(settings).down(report=lambda _: None)
    typer.echo(json.dumps(figures, indent=2))


if __name__ == "__main__":
    typer.run(main)
