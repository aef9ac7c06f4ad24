"""Twenty seeds of faults on a running lab: nothing is lost, nothing counted twice, and each row's changes in order."""

import json
import os
from itertools import product

import pytest

from labkit.settings import CHECKOUT
from tests.chaos.batch import run_all
from tests.chaos.page import page
from tests.chaos.plan import PAIRS, PARTS, PHASES, STRIKES, plan
from tests.conftest import HOME

SEEDS = range(1, 21)


def test_a_seed_makes_the_same_plan_again() -> None:
    assert plan(7) == plan(7) and plan(7).moment_s != plan(7 + len(PAIRS)).moment_s


def test_seeds_in_a_row_meet_every_fault_in_every_phase() -> None:
    plans = [plan(seed) for seed in range(len(PAIRS) * len(PHASES))]
    assert {(one.kind, one.part, one.phase) for one in plans} == {
        (kind, part, phase) for (kind, part), phase in product(PAIRS, PHASES)
    }
    few = [plan(seed) for seed in SEEDS]
    assert {one.kind for one in few} == set(STRIKES)
    assert {one.part for one in few} == set(PARTS)
    assert {one.phase for one in few} == set(PHASES)


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_whatever_is_struck_the_account_balances() -> None:
    results = run_all([plan(seed) for seed in SEEDS], HOME.with_name(f"{HOME.name}-chaos"), print)
    (CHECKOUT / "build").mkdir(exist_ok=True)
    told = [result.as_dict() for result in results]
    (CHECKOUT / "build" / "chaos.json").write_text(json.dumps(told, indent=2) + "\n")
    print(page(told))
    assert len(results) == len(SEEDS)
    assert not [str(result) for result in results if result.wrong]
    # Only root may mount a disk and refuse connections.
    others = set() if os.geteuid() == 0 else {"fill the disk", "refuse"}
    assert {result.plan.kind for result in results if result.left_out} <= others
