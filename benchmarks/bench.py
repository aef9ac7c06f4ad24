"""Every way from a committed row to its prediction, side by side: ``make bench``.

    .venv/bin/python -m benchmarks.bench --rounds 3

In each round every way has its turn, in a lab of its own: a warm-up, single inserts at three rates, then many rows by
one COPY. It prints as it goes, writes all figures to build/bench.json, and the page docs/bench.md with its plots.
The first time it installs the peers' environment, whose size it tells.
"""

import datetime
import logging
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from benchmarks.own_lab import machine, own_lab, own_settings, to_terminal
from benchmarks.samples import some_digits
from benchmarks.ways.evaluated import Csv, Talk
from benchmarks.ways.figures import Bench, Latency, Turn
from benchmarks.ways.lab_scorer import Bytes, Server
from benchmarks.ways.limits import Decoding, Predicting
from benchmarks.ways.peers import PACKAGES, Engine, Quix
from benchmarks.ways.polling import Polling
from benchmarks.ways.report import write_page
from benchmarks.ways.way import Way
from labkit import LabError
from labkit.course.capture_figures import Arrivals
from labkit.engines.environment import EngineEnvironment
from labkit.model.network import build_network
from labkit.settings import CHECKOUT, PREDICTIONS_TOPIC, TEST_TABLE, Settings

WAYS: Sequence[type[Way]] = (Talk, Csv, Bytes, Server, Engine, Quix, Polling, Decoding, Predicting)
RATES = (20, 200, 1000)
"""Single inserts a second."""
REST_S = 60.0
RESTING = 0.5
"""Processor seconds in a second, of all processes together: what they take that only wait."""
app = typer.Typer(add_completion=False)
INSERT = "INSERT INTO mnist_test (label, pixels) VALUES (%s, %s) RETURNING id"


def copied(way: Way, count: int) -> Turn:
    """Insert many rows in one transaction, and wait until the way is done with them."""
    digits = some_digits(count)
    way.begin()
    way.lab.tables.copy(digits, TEST_TABLE)
    committed = time.time()
    before = way.processor_s()  # PostgreSQL's work for the COPY itself is done.
    done, seconds = way.finish(count, committed)
    after = way.processor_s()
    taken = {name: 1e6 * (after[name] - before[name]) / done for name in after}
    return Turn(way=way.name, rows=count, done=done, seconds=seconds, processor_us=taken)


def single(way: Way, rate: int, seconds: float) -> Latency:
    """Insert digits one by one at a rate, and tell how long after its insert was sent each has its prediction.

    Times count from when an insert was due, so they hold its way to PostgreSQL and its commit, and what it waited for
    the one before. A reader of committed records looks. The first second is not counted.
    """
    digits = some_digits(int(rate * (1 + seconds)))
    due: dict[int, float] = {}
    with (
        Arrivals(way.lab.kafka, PREDICTIONS_TOPIC) as arrivals,
        psycopg.connect(way.lab.endpoints.postgres, autocommit=True) as connection,
    ):
        began = time.monotonic()
        for number, (image, label) in enumerate(zip(digits.images, digits.labels, strict=True)):
            at = began + number / rate
            time.sleep(max(0.0, at - time.monotonic()))
            ((row_id,),) = connection.execute(INSERT, [int(label), image.tobytes()]).fetchall()
            due[row_id] = at
        took = time.monotonic() - began
        arrivals.wait(due)
        delays = sorted(1000 * (arrivals.seen[row_id] - at) for row_id, at in list(due.items())[rate:])
    return Latency(
        way=way.name,
        rate=rate,
        reached=len(due) / took,
        p50_ms=statistics.median(delays),
        p99_ms=delays[int(0.99 * len(delays))],
    )


def rest(way: Way) -> None:
    """Wait until a way rests: what is compiled or learned after its rows are done shall not be in the next figures."""
    deadline = time.monotonic() + REST_S
    before = sum(way.processor_s().values())
    while time.monotonic() < deadline:
        time.sleep(1)
        now = sum(way.processor_s().values())
        if now - before < RESTING:
            return
        before = now


def turn(kind: type[Way], settings: Settings, warm_up: int, rows: int, seconds: float) -> tuple[Turn, list[Latency]]:
    """Give a way its turn, in a lab of its own."""
    with own_lab(kind.name, settings.model_copy(update={"capture": kind.capture}), lambda _: None) as lab:
        way = kind(lab)
        lab.publish(build_network(seed=1))
        way.start()
        if not kind.by_labs_scorer:
            lab.stop_scorer()
        try:
            copied(way, warm_up)
            rest(way)
            latencies = [single(way, rate, seconds) for rate in RATES] if way.records and seconds else []
            rest(way)
            return copied(way, rows), latencies
        finally:
            way.stop()


def chosen(names: Sequence[str]) -> list[type[Way]]:
    """The ways of these names; all for none.

    Raises:
        LabError: There is no such way.
    """
    known = {way.name: way for way in WAYS}
    for name in names:
        if name not in known:
            raise LabError(f"there is no way {name!r}", f"one of {', '.join(known)}")
    return [way for way in WAYS if not names or way.name in names]


@app.command()
def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    rows: Annotated[int, typer.Option(min=5000, help="How many are inserted at once.")] = 200_000,
    warm_up: Annotated[int, typer.Option(min=5000, help="How many before that.")] = 50_000,
    seconds: Annotated[float, typer.Option(min=0, help="How long single rows are inserted at each rate.")] = 10,
    way: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    output: Annotated[Path, typer.Option(help="Where the figures are written.")] = CHECKOUT / "build" / "bench.json",
    page: Annotated[Path, typer.Option(help="Where the page is written.")] = CHECKOUT / "docs" / "bench.md",
) -> None:
    """Run it."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    settings = own_settings()
    try:
        ways = chosen(way or [])
        EngineEnvironment(PACKAGES, settings).install(to_terminal)
        output.parent.mkdir(parents=True, exist_ok=True)
        bench = Bench(
            machine=machine(),
            date=datetime.date.today().isoformat(),
            rows=rows,
            warm_up=warm_up,
            rounds=rounds,
            turns=[],
            latencies=[],
        )
        for number in range(rounds):
            # Every other round the other way round: none always has the same neighbour.
            for kind in ways[:: 1 if number % 2 == 0 else -1]:
                found, delays = turn(kind, settings, warm_up, rows, seconds)
                bench.turns.append(found)
                bench.latencies += delays
                output.write_text(bench.model_dump_json(indent=2))  # What is found so far outlives a failure.
                typer.echo(f"round {number + 1}: {found.words}", err=True)
                for delay in delays:
                    typer.echo(f"round {number + 1}: {delay.words}", err=True)
    except LabError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    write_page(bench, {kind.name: kind.title for kind in ways}, page)
    typer.echo(page.read_text())


if __name__ == "__main__":
    app()
