"""What TensorFlow's threads cost the model that goes on learning: processor time for each digit, side by side.

    .venv/bin/python -m benchmarks.learning

TensorFlow's threads are set once for a process, so each measurement is a process of its own: in turn with TensorFlow's
own choice and with one thread, after a warm-up, several rounds. Prints medians, their spread and the ratio, as JSON.
"""

import json
import platform
import statistics
import subprocess
import sys
import time
from typing import Annotated

import numpy as np
import typer

ROUNDS, CALLS = 5, 100
WAYS = ("default", "single")


def measure(way: str) -> float:
    """Processor microseconds for a digit, all threads together; to be called once in a process."""
    from labkit.model.catch_up import AT_ONCE  # What comes fast is learned in calls of as many digits.
    from labkit.model.continual import ContinualModel, deterministic_ops
    from labkit.model.inference import single_thread
    from labkit.model.network import build_network

    if way == "single":
        single_thread()
    deterministic_ops()
    model, random = ContinualModel(build_network(seed=0)), np.random.default_rng(0)
    images = random.integers(0, 256, (AT_ONCE, 784)).astype(np.uint8)
    labels = random.integers(0, 10, AT_ONCE).astype(np.int32)
    model.learn(images, labels)
    started = time.process_time()
    for _ in range(CALLS):
        model.learn(images, labels)
    return (time.process_time() - started) / (CALLS * AT_ONCE) * 1e6


def main(rounds: Annotated[int, typer.Option(min=2)] = ROUNDS) -> None:
    """Run it."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            command = [sys.executable, "-c", f"from benchmarks.learning import measure; print(measure({way!r}))"]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            found[way].append(float(answer.stdout.split()[-1]))
        typer.echo(f"round {number + 1} of {rounds}", err=True)
    medians = {way: statistics.median(values) for way, values in found.items()}
    typer.echo(
        json.dumps(
            {
                "machine": platform.platform(),
                "processor_microseconds_a_digit": {way: round(value, 1) for way, value in medians.items()},
                "lowest_and_highest": {way: [round(min(v), 1), round(max(v), 1)] for way, v in found.items()},
                "ratio": round(medians["default"] / medians["single"], 2),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    typer.run(main)
