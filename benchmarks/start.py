"""How quickly a lab that has run before starts, with Java's archives of classes and without, side by side.

    .venv/bin/python -m benchmarks.start --rounds 5

The two take turns in one lab whose data are kept. It prints as JSON, for each, the median and the range of the seconds
until all servers answer, and of the processor seconds that Kafka and what captures have taken by then; and the ratio of
the medians.
"""

import json
import os
import statistics
import time
from typing import Annotated, cast, get_args

import psutil
import typer

from benchmarks.own_lab import own_settings, to_terminal
from labkit import Lab
from labkit.settings import CaptureName

WITHOUT = {"JAVA_TOOL_OPTIONS": "-Xshare:off"}
"""Java takes these from its environment, and so no archive, not even that of its own classes."""


def started(lab: Lab) -> tuple[float, float]:
    """Start the lab; seconds until its servers answer, and processor seconds that those in Java have taken."""
    began = time.monotonic()
    lab.up(lambda _: None)
    took = time.monotonic() - began
    return took, processor_s(lab)


def processor_s(lab: Lab) -> float:
    """Processor seconds that the servers in Java have taken so far: Kafka, and what captures."""
    pids = [status.pid for status in lab.stack.status() if status.name != "postgres" and status.pid]
    times = [process.cpu_times() for process in map(psutil.Process, pids) if "java" in process.name()]
    return sum(time.user + time.system for time in times)


def summary(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {
        "median": round(statistics.median(values), 2),
        "least": round(min(values), 2),
        "most": round(max(values), 2),
    }


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    capture: Annotated[str, typer.Option(help="connect or server")] = "connect",
) -> None:
    """Run it."""
    if capture not in get_args(CaptureName):
        raise typer.BadParameter(f"{capture} is none of {', '.join(get_args(CaptureName))}")
    chosen = cast(CaptureName, capture)
    lab = Lab(own_settings(capture=chosen))
    lab.down(report=lambda _: None)
    found: dict[str, list[tuple[float, float]]] = {"with": [], "without": []}
    try:
        lab.up(to_terminal)
        lab.capture()
        lab.down(keep_data=True, report=lambda _: None)  # Its end leaves the archives.
        for _ in range(rounds):
            for way, taken in found.items():
                os.environ.update(WITHOUT if way == "without" else {})
                taken.append(started(lab))
                typer.echo(f"{way:8} {taken[-1][0]:5.1f} s, {taken[-1][1]:5.1f} processor seconds", err=True)
                lab.down(keep_data=True, report=lambda _: None)
                os.environ.pop("JAVA_TOOL_OPTIONS", None)
    finally:
        lab.down(report=lambda _: None)
    figures = {
        way: {"up_s": summary([up for up, _ in taken]), "processor_s": summary([cpu for _, cpu in taken])}
        for way, taken in found.items()
    }
    ratios = {
        name: round(figures["without"][name]["median"] / figures["with"][name]["median"], 2)
        for name in ("up_s", "processor_s")
    }
    typer.echo(json.dumps({"rounds": rounds, "capture": chosen, **figures, "without / with": ratios}, indent=2))


if __name__ == "__main__":
    typer.run(main)
