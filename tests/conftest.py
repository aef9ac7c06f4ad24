"""Fixtures: one real lab for the whole run, apart from the user's own."""

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before labkit reads its settings: the tests' lab has a folder of its own and so never touches the user's data, nor the
# lab of another clone's tests.
CLONE = hashlib.sha256(os.fsencode(Path(__file__).parent)).hexdigest()[:8]
HOME = Path(tempfile.gettempdir()) / f"labkit-tests-{os.getuid()}-{CLONE}"
os.environ["LABKIT_HOME"] = str(HOME)
# A shell starts its background jobs with Ctrl-C ignored, which every process started here would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

from labkit import Lab  # noqa: E402
from labkit.settings import CHECKOUT, load_settings  # noqa: E402
from labkit.stack.artifacts import ArtifactCache  # noqa: E402

LOGS = CHECKOUT / "build" / "test-logs"
CONNECT_GROUP = {"connect": "kafka"}


@pytest.fixture(scope="session")
def java_artifacts() -> Callable[[str], list[Path]]:
    """Jars by group: ``connect`` (Kafka and Connect), ``ecj``, ``junit``; fetched when missing."""
    cache = ArtifactCache(load_settings().cache_dir)

    def paths(group: str) -> list[Path]:
        name = CONNECT_GROUP.get(group, group)
        cache.fetch([name])
        return cache.paths(name)

    return paths


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A running lab with digits, both connectors, a trained model and the scorer."""
    lab = Lab()
    lab.down(report=lambda _: None)
    lab.up()
    try:
        yield lab
    finally:
        # For the post-mortem of a failed run: the lab takes its logs with it.
        shutil.copytree(HOME / "logs", LOGS, dirs_exist_ok=True)
        lab.down(report=lambda _: None)


@pytest.fixture(scope="session")
def scoring_lab(lab: Lab) -> Lab:
    """The running lab with digits loaded, captured, learned and being scored."""
    lab.load_digits()
    lab.capture()
    lab.publish(lab.train(seed=1).model)
    lab.wait_until(lambda: lab.ledger().lost == 0, "every loaded digit is scored", timeout_s=90)
    return lab
