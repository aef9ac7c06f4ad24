"""A job beside the scoring one: started from a notebook or a test, and ended with it."""

import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from labkit.engines.catalog import Engine
from labkit.engines.environment import EngineEnvironment
from labkit.engines.flink_savepoint import CHECKPOINTS
from labkit.engines.job import check_memory, started_job
from labkit.engines.options import EngineOptions
from labkit.engines.place import Place
from labkit.engines.progress import job_folder
from labkit.engines.reachable import check_reachable
from labkit.settings import Settings

LOG, LOCK = "job.log", "job.lock"


def side_log(settings: Settings, name: str) -> Path:
    """What the jobs of that name have said."""
    return job_folder(settings, name) / LOG


def running_side_jobs(settings: Settings) -> list[str]:
    """The names of the jobs that run now, whoever started them."""
    return sorted(log.parent.name for log in job_folder(settings, "").glob(f"*/{LOG}") if _is_held(log.parent / LOCK))


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def side_job(
    like: Engine,
    name: str,
    module: str,
    settings: Settings,
    place: Place,
    make_options: Callable[[tuple[Path, ...], Path], EngineOptions],
) -> Generator[subprocess.Popen[bytes]]:
    """Run a job within a ``with``. It goes on behind what its predecessor did.

    Args:
        like: The engine that scores digits with the same packages, at the same places, with as much memory.
        name: The job's.
        module: Its program.
        settings: The lab's.
        place: Where it runs, as `check_place` lets through.
        make_options: Makes what it is told, of its jars and the folder of its checkpoints.

    Raises:
        LabError: The engine is not installed, there is too little memory, or the cluster does not answer.
    """
    environment = EngineEnvironment(like.packages, settings)
    environment.check()
    check_memory(like)
    check_reachable(like, place)
    folder = job_folder(settings, name)
    folder.mkdir(parents=True, exist_ok=True)
    options = make_options(tuple(environment.jars), folder / CHECKPOINTS)
    with (
        # A job whose starter was killed may need a moment to end: two at once would hinder each other.
        FileLock(folder / LOCK),
        side_log(settings, name).open("ab") as log_file,
    ):
        options.progress.unlink(missing_ok=True)  # Its predecessor's.
        with started_job(environment, module, options, settings, log_file.fileno()) as job:
            yield job
