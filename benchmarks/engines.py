"""What scores, side by side: the lab's own scorer and each engine that is installed, on the same digits.

    .venv/bin/python -m benchmarks.engines --digits 50000

Each has its turn in a lab of its own, with the same network. A prediction counts when it is in Kafka, or in the table
where Flink reads PostgreSQL itself. It prints the figures as JSON and writes a table to docs/engines.md. It exits with
1 where two of them predicted a row differently, or where an account does not balance.
"""

import datetime
import json
import os
import signal
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.own_lab import machine, own_lab, own_settings
from benchmarks.recorded import Account, account_of
from benchmarks.samples import some_digits
from labkit.digits import Digits
from labkit.engines.catalog import ENGINES, LOCAL
from labkit.engines.environment import EngineEnvironment
from labkit.model.network import build_network
from labkit.settings import CHECKOUT, TEST_TABLE, Settings
from labkit.stack.keeper import memory_mib

RATE = 100.0
"""Single digits a second, for the latency."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one of them.

    Attributes:
        scores: ``local``, or the engine's name.
        start_s: From its start until the first prediction is in Kafka, seconds.
        p50_ms: Of half of the single digits the prediction can be read within this, from their commit, milliseconds.
        p99_ms: So are 99 of 100.
        digits_a_second: From the commit of many at once until their last prediction is in Kafka.
        memory_mib: Resident memory of all its processes, after that.
        recovery_s: From kill -9 until the first prediction by its successor, seconds.
        balanced: Whether then every change was predicted once.
    """

    scores: str
    start_s: float
    p50_ms: float
    p99_ms: float
    digits_a_second: float
    memory_mib: float
    recovery_s: float
    balanced: bool


def start_s(account: Account, scores: str) -> float:
    """Let it score from now on, and wait for its first prediction."""
    lab = account.lab
    lab.stop_scorer()
    row_id = lab.insert(np.zeros((28, 28), np.uint8), 0)
    began = time.time()
    lab.score_by(scores)
    account.wait_complete()
    return next(one.recorded_ms for one in account.all() if one.row_id == row_id) / 1000 - began


def digits_a_second(account: Account, digits: Digits) -> float:
    """Insert many digits in one transaction, and wait for their predictions."""
    ids = set(account.lab.tables.copy(digits, TEST_TABLE))
    account.wait_complete()
    found = [one for one in account.all() if one.row_id in ids]
    return 1000 * len(found) / (max(one.recorded_ms for one in found) - found[0].committed_ms)


def recovery_s(account: Account) -> float:
    """Kill it in the middle of a stream, and wait until its successor predicts and has caught up."""
    sender = account.lab.sender
    sender.start(50)
    time.sleep(2)
    killed = time.time()
    os.kill(account.pid, signal.SIGKILL)
    # What it kept running ends within half a second; no successor starts as quickly.
    first = account.first_later(killed + 0.5)
    sender.stop()
    account.wait_complete()
    return first - killed


def measure(account: Account, scores: str, digits: Digits, seconds: float) -> tuple[Figures, Mapping[int, int | None]]:
    """The figures of one, and what it predicted of each row."""
    started = start_s(account, scores)
    account.latencies_ms(int(3 * RATE), RATE)  # Warm.
    latencies = account.latencies_ms(int(seconds * RATE), RATE)
    rate = digits_a_second(account, digits)
    memory = memory_mib(account.pid)
    predicted = {one.row_id: one.predicted for one in account.all()}
    recovery = recovery_s(account)
    figures = Figures(
        scores=scores,
        start_s=round(started, 1),
        p50_ms=round(statistics.median(latencies), 1),
        p99_ms=round(latencies[int(0.99 * len(latencies))], 1),
        digits_a_second=round(rate),
        memory_mib=round(memory),
        recovery_s=round(recovery, 1),
        balanced=account.balanced,
    )
    return figures, predicted


def table(all_figures: list[Figures], digits: int, equal: bool) -> str:
    """The figures as a page."""
    lines = [
        "# What scores, side by side",
        "",
        f"Made by `.venv/bin/python -m benchmarks.engines --digits {digits}` on {datetime.date.today()}: "
        f"{machine()}. The servers, the sender and what scores share them: compare the lines, not with another "
        "machine.",
        "",
        "| scores | start, s | p50, ms | p99, ms | digits a second | memory, MiB | after kill -9, s | balanced |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for figures in all_figures:
        values = asdict(figures) | {"balanced": "yes" if figures.balanced else "no"}
        lines.append("| " + " | ".join(str(value) for value in values.values()) + " |")
    return "\n".join(
        [
            *lines,
            "",
            "- start, digits a second, after kill -9: until a prediction is written; flink-kafka's can be read up to a "
            "checkpoint later",
            "- start: from its start until its first prediction",
            f"- p50, p99: from a digit's commit until its prediction can be read, single digits at {RATE:.0f} a second"
            "; in Kafka by a reader of committed records, who waits for the next checkpoint of flink-kafka (lesson 10)",
            f"- digits a second: {digits:,} digits in one transaction, from the commit to the last prediction",
            "- after kill -9, of the process that the lab's supervisor keeps (an engine's Java and Python end with it)"
            ": until the first prediction by its successor, in a stream of 50 digits a second",
            "- balanced: afterwards every change was predicted, and none twice",
            "",
            f"Every row was predicted {'the same' if equal else 'NOT the same'} by all of them.",
            "",
        ]
    )


def main(
    digits: Annotated[int, typer.Option(min=100, help="How many are inserted at once.")] = 50_000,
    seconds: Annotated[float, typer.Option(min=1, help="How long single digits are sent.")] = 20,
    output: Annotated[Path, typer.Option(help="Where the table is written.")] = CHECKOUT / "docs" / "engines.md",
) -> None:
    """Run it."""
    settings = own_settings()
    many = some_digits(digits)
    installed = [name for name, engine in ENGINES.items() if EngineEnvironment(engine.packages, settings).installed]
    results = [run_one(settings, scores, many, seconds) for scores in (LOCAL, *installed)]
    all_figures = [figures for figures, _ in results]
    equal = all(predicted == results[0][1] for _, predicted in results)
    output.write_text(table(all_figures, digits, equal))
    typer.echo(json.dumps([asdict(figures) for figures in all_figures], indent=2))
    if not equal or not all(figures.balanced for figures in all_figures):
        raise typer.Exit(1)


def run_one(
    settings: Settings, scores: str, digits: Digits, seconds: float
) -> tuple[Figures, Mapping[int, int | None]]:
    """Give one its turn, in a lab of its own."""
    with own_lab(f"engines-{scores}", settings) as lab:
        lab.capture()
        lab.publish(build_network(seed=1))
        found = measure(account_of(lab, scores), scores, digits, seconds)
        typer.echo(json.dumps(asdict(found[0])), err=True)
        return found


if __name__ == "__main__":
    typer.run(main)
