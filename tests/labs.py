"""Labs that a test module has for itself, beside the one that the others share."""

from collections.abc import Generator
from contextlib import contextmanager

from labkit import Lab
from labkit.settings import Settings
from tests.conftest import HOME

PATIENCE_S = 180.0
"""How long a busy machine may take."""


@contextmanager
def lab_of_its_own(name: str) -> Generator[Lab]:
    """A running lab with nothing in it. At its end the scorer's log is printed, for who looks why a test failed.

    Args:
        name: Tells its folder from that of other labs.
    """
    lab = Lab(Settings(home=HOME.with_name(f"{HOME.name}-{name}")))
    lab.down(report=lambda _: None)
    lab.up()
    try:
        yield lab
    finally:
        print(lab.stack.log("scorer", 200))
        lab.down(report=lambda _: None)


def all_scored(lab: Lab) -> None:
    """Wait until every change has its prediction."""
    lab.wait_until(lambda: lab.ledger().lost == 0, "every change is scored", PATIENCE_S)


def side_job_note(lab: Lab, name: str) -> str:
    """What the lab's status tells of a notebook's job; empty where it does not run."""
    return "".join(status.note for status in lab.status() if status.name == name)
