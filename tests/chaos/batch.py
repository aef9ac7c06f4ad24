"""Many runs, a few labs: those with the same capture share one, and none grows without bound."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.own_lab import keep_logs
from tests.chaos.faults import obstacle
from tests.chaos.place import struck_lab
from tests.chaos.plan import Plan
from tests.chaos.run import Outcome, run

RUNS_IN_A_LAB = 10


@dataclass(frozen=True, slots=True)
class Result:
    """What is to be told of a plan.

    Attributes:
        plan: The plan.
        outcome: What came of it; None where it was left out, or the lab did not come back.
        left_out: Why this machine could not carry it out; empty where it could.
        broken: Why the lab did not come back; empty where it did.
        logs: Where the lab's logs are kept, where something is wrong.
    """

    plan: Plan
    outcome: Outcome | None = None
    left_out: str = ""
    broken: str = ""
    logs: str = ""

    @property
    def wrong(self) -> str:
        """What is wrong; empty where the account balances, or the run was left out."""
        return self.broken or ("; ".join(self.outcome.faults) if self.outcome else "")

    def __str__(self) -> str:
        start = f"seed {self.plan.seed:>4}  {self.plan}: "
        if self.left_out:
            return f"{start}left out, {self.left_out}"
        if self.outcome is None or self.wrong:
            return f"{start}WRONG: {self.wrong}; logs: {self.logs}"
        return f"{start}{self.outcome.changes:,} changes, recovered after {self.outcome.recovery_s:.1f} s"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run_all(plans: Sequence[Plan], home: Path, report: Callable[[Result], None]) -> list[Result]:
    """Carry out plans; a lab that did not come back is given up, and the next plan has a new one.

    Args:
        plans: The plans.
        home: The labs' folder.
        report: Told of each as soon as it is over.
    """
    results: list[Result] = []

    def note(result: Result) -> None:
        report(result)
        results.append(result)

    waiting: list[Plan] = []
    for plan in plans:
        reason = obstacle(plan.kind)
        if reason:
            note(Result(plan, left_out=reason))
        else:
            waiting.append(plan)
    waiting.sort(key=lambda plan: plan.capture)
    while waiting:
        same = [plan for plan in waiting if plan.capture == waiting[0].capture][:RUNS_IN_A_LAB]
        with struck_lab(home, same[0].capture) as struck:
            for plan in same:
                waiting.remove(plan)
                try:
                    result = Result(plan, run(plan, *struck))
                except Exception as error:  # Whatever did not come back: the next lab is a new one.
                    result = Result(plan, broken=f"{type(error).__name__}: {error}")
                if result.wrong:
                    result = replace(result, logs=str(keep_logs(f"chaos-{plan.seed}", struck[0])))
                note(result)
                if result.wrong:
                    break
    return results
