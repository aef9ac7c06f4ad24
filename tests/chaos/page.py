"""``python -m tests.chaos.page build/chaos.json docs/chaos.md``: a page of what came of many seeds."""

import datetime
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

HEAD = """# Faults, and what came of them

Made by `make chaos SEED={first} RUNS={runs}` on {day}. Each run inflicts one fault on one part of a running
lab while rows are written, waits until the lab has come back by itself, and balances the account: every row
that PostgreSQL had committed is in Kafka, predicted and counted once, each row's changes are in order, and a
notebook's kernel shows the same score. Recovered means: from the end of the fault until a row that was
inserted right then had its prediction in Kafka, with all that was written meanwhile in front of it.

{balanced} of {carried} runs balanced; {left_out} were left out, as their account may not do what they ask.
Recovered after {p50:.1f} s in the median, p99 {p99:.1f} s.
"""
COLUMNS = ("", "runs", "recovered after s, p50", "most", "recorded twice", "scored twice")
TABLES = {"By fault and part": ("kind", "part"), "By what was written": ("phase",)}


def page(results: list[dict[str, Any]]) -> str:
    """The page, of results as `tests.chaos.batch.Result.as_dict` gives them."""
    carried = [result for result in results if not result["left_out"]]
    told = [result for result in carried if result["outcome"]]
    wrong = [result for result in carried if result["broken"] or result["outcome"]["faults"]]
    recovery = [result["outcome"]["recovery_s"] for result in told] or [float("nan")]
    lines = [
        HEAD.format(
            first=min(result["plan"]["seed"] for result in results),
            runs=len(results),
            day=datetime.date.today().isoformat(),
            balanced=len(carried) - len(wrong),
            carried=len(carried),
            left_out=len(results) - len(carried),
            p50=np.percentile(recovery, 50),
            p99=np.percentile(recovery, 99),
        )
    ]
    for title, names in TABLES.items():
        lines += [f"## {title}", "", *_table(told, names), ""]
    for result in wrong:
        plan = result["plan"]
        words = result["broken"] or "; ".join(result["outcome"]["faults"])
        lines.append(
            f"- Seed {plan['seed']} did not balance ({plan['kind']}, {plan['part']}, {plan['phase']}): {words}"
        )
    return "\n".join(lines).rstrip() + "\n"


def _table(told: list[dict[str, Any]], names: tuple[str, ...]) -> list[str]:
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in told:
        groups[", ".join(result["plan"][name] for name in names)].append(result["outcome"])
    lines = [_row(*COLUMNS), _row(*["---"] * len(COLUMNS))]
    for name, outcomes in sorted(groups.items()):
        seconds = [outcome["recovery_s"] for outcome in outcomes]
        twice = [f"{sum(outcome[what] for outcome in outcomes):,}" for what in ("repeated", "predicted_twice")]
        lines.append(_row(name, str(len(seconds)), f"{np.median(seconds):.1f}", f"{max(seconds):.1f}", *twice))
    return lines


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page(json.loads(Path(sys.argv[1]).read_text())))
