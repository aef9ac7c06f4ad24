"""How far engines share their work: partitions 1, 2 and 4, workers 1 and 2, on the same digits.

    .venv/bin/python -m benchmarks.scaling --digits 20000

Each has its turn in a lab of its own, with the same network. It prints the figures as JSON and writes a table to
docs/scaling.md. It exits with 1 where a ledger does not balance, or a row's predictions are not in the order of its
changes.
"""

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.engines import RATE, digits_a_second
from benchmarks.own_lab import machine, own_lab, own_settings
from benchmarks.recorded import account_of
from benchmarks.samples import some_digits
from labkit import Lab
from labkit.digits import Digits
from labkit.engines.catalog import ENGINES, LOCAL
from labkit.engines.environment import EngineEnvironment
from labkit.model.network import build_network
from labkit.model.prediction_records import recorded_predictions
from labkit.settings import CHECKOUT, SCORER, Settings

PARTITIONS, WORKERS = (1, 2, 4), (1, 2)


@dataclass(frozen=True, slots=True)
class Rate:
    """What was measured of one.

    Attributes:
        scores: The engine's name.
        partitions: Of the topics.
        workers: Threads of this machine that the engine may use.
        digits_a_second: From the commit of many at once until their last prediction is in Kafka.
        in_order: Whether each row's predictions are in the order of its changes, and every change was predicted once.
    """

    scores: str
    partitions: int
    workers: int
    digits_a_second: float
    in_order: bool


def in_order(lab: Lab) -> bool:
    """Whether each row's predictions came in the order of its changes, and the ledger balances."""
    changes: dict[int, list[int]] = {}
    for prediction, _ in recorded_predictions(lab.kafka):
        changes.setdefault(prediction.row_id, []).append(prediction.lsn)
    return lab.ledger().balanced and all(first < then for lsns in changes.values() for first, then in pairwise(lsns))


def measure(lab: Lab, engine: str, workers: int, digits: Digits) -> Rate:
    """The rate of one engine with so many workers."""
    lab.score_by(engine, f"local[{workers}]")
    ids = lab.sender.send(10, 20)
    for label in range(3):
        lab.relabel(ids[0], label)
    lab.delete(ids[1])
    account = account_of(lab, engine)
    account.latencies_ms(int(2 * RATE), RATE)  # Warm.
    rate = digits_a_second(account, digits)
    return Rate(engine, lab.settings.partitions, workers, round(rate), in_order(lab))


def measure_all(settings: Settings, partitions: int, engines: Sequence[str], digits: Digits) -> list[Rate]:
    """Every engine's turn on topics with so many partitions."""
    with own_lab("scaling", settings.model_copy(update={"partitions": partitions})) as lab:
        lab.capture("bytes")
        lab.publish(build_network(seed=1))
        lab.stack.start_service(SCORER)
        account_of(lab, LOCAL).wait_complete()
        rates: list[Rate] = []
        for engine in engines:
            for workers in WORKERS:
                rates.append(measure(lab, engine, workers, digits))
                typer.echo(json.dumps(asdict(rates[-1])), err=True)
        return rates


def table(rates: Sequence[Rate], digits: int) -> str:
    """The figures as a page: the speed-up is over the same engine with one worker on one partition."""
    alone = {rate.scores: rate.digits_a_second for rate in rates if (rate.partitions, rate.workers) == (1, 1)}
    lines = [
        "# Partitions and workers",
        "",
        f"Made by `.venv/bin/python -m benchmarks.scaling --digits {digits}` on {datetime.date.today()}: "
        f"{machine()}. The servers and the "
        "engine share them. One run of each: how much of a difference is chance, it does not tell. A worker is a "
        "thread of this machine.",
        "",
        "| scores | partitions | workers | digits a second | speed-up | in order |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {rate.scores} | {rate.partitions} | {rate.workers} | {rate.digits_a_second:.0f} | "
        f"{rate.digits_a_second / alone[rate.scores]:.2f} | {'yes' if rate.in_order else 'no'} |"
        for rate in rates
    ]
    return "\n".join(
        [
            *lines,
            "",
            f"- digits a second: {digits:,} digits in one transaction, from the commit to the last prediction in Kafka",
            "- speed-up: over the same engine with one worker on one partition",
            "- in order: the predictions of each row are in the order of its changes, relabels and deletes included, "
            "and every change was predicted once",
            "",
        ]
    )


def main(
    digits: Annotated[int, typer.Option(min=100, help="How many are inserted at once.")] = 20_000,
    output: Annotated[Path, typer.Option(help="Where the table is written.")] = CHECKOUT / "docs" / "scaling.md",
) -> None:
    """Run it."""
    settings = own_settings()
    many = some_digits(digits)
    engines = [
        name
        for name, engine in ENGINES.items()
        if engine.service == SCORER and EngineEnvironment(engine.packages, settings).installed
    ]
    rates = [rate for partitions in PARTITIONS for rate in measure_all(settings, partitions, engines, many)]
    output.write_text(table(rates, digits))
    typer.echo(json.dumps([asdict(rate) for rate in rates], indent=2))
    if not all(rate.in_order for rate in rates):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
