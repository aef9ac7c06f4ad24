"""``python -m tests.chaos --seed 1 --runs 20``: so many seeds from this one on; exits with 1 where one failed."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tests.chaos.batch import Result, run_all
from tests.chaos.plan import plan

OUTPUT = Path("build/chaos.json")
console = Console()


def main(
    seed: Annotated[int, typer.Option(help="The first seed.")] = 1,
    runs: Annotated[int, typer.Option(min=1, help="How many seeds, counted up from the first.")] = 20,
    output: Annotated[Path, typer.Option(help="Where all of it is written.")] = OUTPUT,
) -> None:
    """Inflict seeded faults on a lab of its own, and balance its account after each."""
    with tempfile.TemporaryDirectory(prefix="labkit-chaos-") as folder:
        results = run_all([plan(number) for number in range(seed, seed + runs)], Path(folder) / "lab", print_result)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps([result.as_dict() for result in results], indent=2) + "\n")
    console.print(summary(results))
    failed = [result.plan.seed for result in results if result.wrong]
    left_out = [result.plan.seed for result in results if result.left_out]
    print(f"{len(results) - len(failed) - len(left_out)} of {len(results)} runs balanced, {len(left_out)} left out")
    for number in failed:
        print(f"again: make chaos SEED={number} RUNS=1")
    if failed:
        raise typer.Exit(1)


def print_result(result: Result) -> None:
    """A line for a run, as soon as it is over."""
    print(result, flush=True)


def summary(results: Sequence[Result]) -> Table:
    """Recovery times by part and by fault."""
    table = Table("struck by", "runs", "recovered after s, p50", "p99", "recorded twice", "scored twice", box=None)
    kinds = {f"{result.plan.kind}, {result.plan.part}" for result in results}
    for name, key in [("all", ""), *((kind, kind) for kind in sorted(kinds))]:
        chosen = [r.outcome for r in results if r.outcome and (not key or f"{r.plan.kind}, {r.plan.part}" == key)]
        if chosen:
            middle, highest = np.percentile([outcome.recovery_s for outcome in chosen], [50, 99])
            twice = sum(outcome.repeated for outcome in chosen), sum(outcome.predicted_twice for outcome in chosen)
            table.add_row(name, str(len(chosen)), f"{middle:.1f}", f"{highest:.1f}", *map(str, twice))
    return table


if __name__ == "__main__":
    typer.run(main)
