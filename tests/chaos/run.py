"""A run: a phase's work, the fault in it, and the account once all has come back."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from labkit import Lab
from labkit.course.capture_figures import Arrivals
from labkit.ledger import Ledger
from labkit.settings import PREDICTIONS_TOPIC, TEST_TABLE
from tests.chaos.faults import Faults
from tests.chaos.plan import Plan
from tests.chaos.watcher import Watcher
from tests.chaos.work import Work

PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        plan: What happened.
        recovery_s: From the end of the fault until a row that was inserted right then had its prediction in Kafka.
        changes: Change events of the run.
        repeated: Changes that stand in Kafka more than once, as after a crash of Debezium Server.
        predicted_twice: Events with a second prediction.
        tried_again: How often a command of the phase had to be given again.
        faults: What is wrong, in words; empty where all is right.
    """

    plan: Plan
    recovery_s: float
    changes: int
    repeated: int
    predicted_twice: int
    tried_again: int
    faults: Sequence[str]


def run(plan: Plan, lab: Lab, watcher: Watcher, faults: Faults) -> Outcome:
    """Carry out a plan, and wait until the lab has come back by itself.

    Raises:
        LabError: A part did not come back, or the phase could not be carried out, however often it was tried.
        Exception: The kernel did not come back, or the fault itself failed.
    """
    work = Work(lab)
    work.prepare(plan.phase)
    before, well = lab.ledger(), _healthy(lab)
    failures: list[BaseException] = []

    def write() -> None:
        try:
            work.do(plan.phase)
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    with Arrivals(lab.kafka, PREDICTIONS_TOPIC) as predictions:
        writer.start()
        try:
            time.sleep(plan.moment_s)
            faults.strike(plan)
            over = time.monotonic()
            row_id = work.probe()
            predictions.wait([row_id])
            recovery_s = predictions.seen[row_id] - over
        finally:
            writer.join()  # Before this lab may end.
    if failures:
        raise failures[0]
    lab.wait_until(lambda: well <= _healthy(lab), "every part is as healthy as before", PATIENCE_S)
    lab.wait_captured(PATIENCE_S)
    after = lab.ledger(wait_s=PATIENCE_S)
    return Outcome(
        plan,
        recovery_s,
        after.events - before.events,
        len(after.events_repeated) - len(before.events_repeated),
        len(after.events_predicted_twice) - len(before.events_predicted_twice),
        work.tried_again,
        _what_is_wrong(plan, lab, watcher, work, after),
    )


def _healthy(lab: Lab) -> set[str]:
    """Which parts are well: Debezium Server has one for each route, and most of them are not captured by here."""
    return {part.name for part in lab.status() if part.healthy}


def _what_is_wrong(plan: Plan, lab: Lab, watcher: Watcher, work: Work, ledger: Ledger) -> list[str]:
    labels = lab.tables.labels(TEST_TABLE)
    wrong: list[str] = []
    missing = [row_id for row_id, label in work.committed.items() if labels.get(row_id, -1) != label]
    back = work.deleted & labels.keys()
    if missing or back:
        wrong.append(
            f"of what PostgreSQL had committed {len(missing)} rows differ and {len(back)} deleted ones are back"
        )
    if ledger.lost:
        wrong.append(f"{ledger.lost} changes are lost: {[fault.kind for fault in ledger.faults][:5]}")
    if not ledger.score_agrees:
        wrong.append("the running score is not that of the table")
    if ledger.events_out_of_order:
        wrong.append(f"events are out of order: {ledger.events_out_of_order[:5]}")
    if ledger.events_repeated and plan.capture == "connect":
        wrong.append(f"changes are recorded twice: {ledger.events_repeated[:5]}")
    counted = watcher.shown(ledger.predictions)
    if counted != ledger.counted:
        wrong.append(f"the kernel counts {counted} rows, and the ledger {ledger.counted}")
    return wrong
