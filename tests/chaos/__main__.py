"""``python -m tests.chaos --seed 1 --runs 20``: so many seeds from this one on; exits with 1 where one failed."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.chaos.batch import Result, run_all
from tests.chaos.page import page
from tests.chaos.plan import plan


def main(
    seed: Annotated[int, typer.Option(help="The first seed.")] = 1,
    runs: Annotated[int, typer.Option(min=1, help="How many seeds, counted up from the first.")] = 20,
    output: Annotated[Path, typer.Option(help="Where all is written; tests.chaos.page makes docs/chaos.md of it.")] = (
        Path("build/chaos.json")
    ),
) -> None:
    """Inflict seeded faults on a lab of its own, and balance its account after each."""
    with tempfile.TemporaryDirectory(prefix="labkit-chaos-") as folder:
        results = run_all([plan(number) for number in range(seed, seed + runs)], Path(folder) / "lab", print_result)
    told = [result.as_dict() for result in results]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=2) + "\n")
    print(page(told))
    failed = [result.plan.seed for result in results if result.wrong]
    for number in failed:
        print(f"again: make chaos SEED={number} RUNS=1")
    if failed:
        raise typer.Exit(1)


def print_result(result: Result) -> None:
    """A line for a run, as soon as it is over."""
    print(result, flush=True)


if __name__ == "__main__":
    typer.run(main)
