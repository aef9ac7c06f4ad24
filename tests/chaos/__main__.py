"""``python -m tests.chaos --seed 1 --runs 20``: so many seeds from this one on; exits with 1 where one failed."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

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
        output.parent.mkdir(parents=True, exist_ok=True)
        told: list[dict[str, Any]] = []

        def note(result: Result) -> None:
            """A line for a run as soon as it is over; what is found so far outlives a failure."""
            print(result, flush=True)
            told.append(result.as_dict())
            output.write_text(json.dumps(told, indent=2) + "\n")

        results = run_all([plan(number) for number in range(seed, seed + runs)], Path(folder) / "lab", note)
    print(page(told))
    failed = [result.plan.seed for result in results if result.wrong]
    for number in failed:
        print(f"again: make chaos SEED={number} RUNS=1")
    if failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
