"""Fixtures: one real lab for the whole run, apart from the user's own."""

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Before labkit reads its settings: the tests' lab has a folder of its own and so never touches the user's data, nor the
# lab of another clone's tests.
CLONE = hashlib.sha256(os.fsencode(Path(__file__).parent)).hexdigest()[:8]
HOME = Path(tempfile.gettempdir()) / f"labkit-tests-{os.getuid()}-{CLONE}"
os.environ["LABKIT_HOME"] = str(HOME)
# In place of 5: a lab that waits would take a third of a core for Debezium's polls, and here wait several at a time.
os.environ.setdefault("LABKIT_POLL_INTERVAL_MS", "100")
# In place of 4: most labs here end before Java's strong compiler has paid off.
os.environ.setdefault("LABKIT_CAPTURE_COMPILER_LEVEL", "1")
# A shell starts its background jobs with Ctrl-C ignored, which every process started here would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

from labkit import Lab  # noqa: E402
from labkit.settings import CHECKOUT, load_settings  # noqa: E402
from labkit.stack.artifacts import ArtifactCache  # noqa: E402
from tests.docker.engine import private_engine  # noqa: E402
from tests.docker.stand_ins import build_stand_ins  # noqa: E402
from tools.course import Course  # noqa: E402

LOGS = CHECKOUT / "build" / "test-logs"
LAST = ("lab", "compose_lab")
"""Fixtures whose tests run last, in this order: a lab of many modules takes processor time, also when it is idle, from
whatever else is tested."""
CONNECT_GROUP = {"connect": "kafka"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests by `LAST`, after the lessons, whose labs are then gone.

    Raises:
        pytest.UsageError: A test that runs beside the others asks for the lab of these: two processes would share it.
    """
    for item in items:
        if item.get_closest_marker("beside") and "lab" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} is marked beside, and so cannot use the shared lab: lab_of_its_own")

    def place(item: pytest.Item) -> int:
        names = getattr(item, "fixturenames", ())
        used = [LAST.index(name) + 1 for name in names if name in LAST]
        return -1 if "course" in names else max(used, default=0)

    items.sort(key=place)


@pytest.fixture(scope="session")
def course(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """The runs of the lessons that are asked for."""
    items = [item for item in request.session.items if "course" in getattr(item, "fixturenames", ())]
    asked: list[dict[str, Any]] = [item.callspec.params for item in items if hasattr(item, "callspec")]
    lessons = {params["lesson"] for params in asked if "lesson" in params}
    lessons.update(lesson for params in asked for lesson in params.get("lessons", ()))
    with Course(sorted(lessons), tmp_path_factory.mktemp("course")) as running:
        yield running


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


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[None]:
    """Docker for this run: for root an engine of the tests' own with stand-ins, for others theirs, as it is."""
    if os.geteuid() != 0:
        yield
        return
    folder = load_settings().cache_dir / "docker-tests"
    with private_engine(folder) as environment, pytest.MonkeyPatch.context() as patch:
        build_stand_ins(environment)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def compose_lab(docker_engine: None) -> Iterator[Lab]:
    """A running lab whose servers are containers, with no digits yet."""
    lab = Lab(load_settings().model_copy(update={"home": HOME.with_name(f"{HOME.name}-compose"), "stack": "compose"}))
    lab.down(report=lambda _: None)
    lab.up()
    try:
        yield lab
    finally:
        for service in ("postgres", "kafka", "connect", "scorer"):
            LOGS.mkdir(parents=True, exist_ok=True)
            (LOGS / f"compose-{service}.log").write_text(lab.stack.log(service, 5000))
        lab.down(report=lambda _: None)
