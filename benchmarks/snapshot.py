"""Rows that are in the table before anybody captures, to a network that has trained on them: the talk's way and ours.

    .venv/bin/python -m benchmarks.snapshot --rounds 3

Each has its turn in a lab of its own. First it captures as many rows of the other table, so that Java has compiled what
it needs. Then the clock runs from the moment that the connector is asked for until the network has seen every row once;
whoever trains is ready and waits by then. With ``--cold`` nothing is captured first, as for a learner's first snapshot.
It prints as it goes, and at the end medians and their ratio as JSON, which it also writes to build/snapshot.json.
"""

import json
import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.own_lab import own_lab, own_settings
from benchmarks.samples import some_digits
from benchmarks.ways.child import Where
from benchmarks.ways.way import Child
from labkit import LabError
from labkit.settings import (
    BYTES_PREFIX,
    CHECKOUT,
    CSV_PREFIX,
    TEST_TABLE,
    TRAIN_TABLE,
    Settings,
    table_topic,
)
from labkit.stream.reading import wait_for_records

BLOCK = 1024
"""The talk's reader takes so many at a time, and a last block that is not full never comes."""
PATIENCE_S = 300.0
WAYS = {
    "talk": ("talk", "csv", "fit_talk", CSV_PREFIX),
    "bytes": ("bytes", "bytes", "fit_rows", BYTES_PREFIX),
}
"""Of each its connector, the route in whose place that is, the module that trains, and how its topics begin."""


def turn(name: str, settings: Settings, rows: int, cold: bool) -> float:
    """Seconds that a way takes, in a lab of its own.

    Raises:
        LabError: It did not train on all rows.
    """
    connector, route, module, prefix = WAYS[name]
    topic = table_topic(prefix, TRAIN_TABLE)
    with own_lab(f"snapshot-{name}", settings, lambda _: None) as lab:
        if not cold:
            lab.tables.copy(some_digits(rows), TEST_TABLE)
            lab.capture(connector)
            wait_for_records(lab.kafka, table_topic(prefix, TEST_TABLE), rows, PATIENCE_S)
            lab.release(route)
            lab.tables.empty(TEST_TABLE)
        lab.tables.copy(some_digits(rows), TRAIN_TABLE)
        where = Where(kafka=lab.kafka, models=settings.home / "models", topic=topic, rows=rows)
        child = Child(f"benchmarks.ways.{module}", where, settings.home / "logs" / f"{name}.log")
        try:
            began = time.time()
            lab.capture(connector)
            said = child.hear(PATIENCE_S)
            if said is None or said["rows"] != rows:
                raise LabError(f"{name}: the network did not see {rows} rows: {said}")
            return said["at"] - began
        finally:
            child.stop()


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    rows: Annotated[int, typer.Option(min=BLOCK, help=f"How many; rounded to blocks of {BLOCK}.")] = 60_000,
    cold: Annotated[bool, typer.Option("--cold", help="Capture nothing first.")] = False,
    output: Annotated[Path, typer.Option(help="Where the figures are written.")] = CHECKOUT / "build" / "snapshot.json",
) -> None:
    """Run it."""
    settings = own_settings()
    rows = BLOCK * round(rows / BLOCK)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(rounds):
        # Every other round the other way round: none always has the same neighbour.
        for name in list(WAYS)[:: 1 if number % 2 == 0 else -1]:
            seconds[name].append(turn(name, settings, rows, cold))
            typer.echo(f"round {number + 1}: {name}: {rows:,} rows in {seconds[name][-1]:.1f} s", err=True)
    ratios = [talk / ours for talk, ours in zip(seconds["talk"], seconds["bytes"], strict=True)]
    found: dict[str, Any] = {
        "rows": rows,
        "cold": cold,
        "seconds": {name: round(statistics.median(taken), 1) for name, taken in seconds.items()},
        "ratio": round(statistics.median(ratios), 1),
        "ratios": [round(ratio, 1) for ratio in ratios],
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n")
    typer.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    typer.run(main)
