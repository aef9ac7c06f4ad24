"""A job beside the scoring one: started from a notebook or a test, and ended with it."""

import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock
from pydantic import BaseModel

from labkit.engines.catalog import Engine
from labkit.engines.environment import EngineEnvironment
from labkit.engines.flink_savepoint import CHECKPOINTS
from labkit.engines.job import check_memory, started_job
from labkit.engines.options import EngineOptions
from labkit.engines.place import Place
from labkit.engines.progress import job_folder
from labkit.engines.reachable import check_reachable
from labkit.settings import Settings

RUN = "run.json"
ProcessId = tuple[int, float]
"""A process by its number and its start, seconds since the Unix epoch: numbers are used again."""


class Run(BaseModel):
    """What is noted of a job while its ``with`` lasts.

    Attributes:
        starter: The notebook's kernel, or whoever else started it.
        job: The job itself.
    """

    starter: ProcessId
    job: ProcessId


def side_log(settings: Settings, name: str) -> Path:
    """What the jobs of that name have said."""
    return job_folder(settings, name) / "job.log"


def running_side_jobs(settings: Settings) -> dict[str, psutil.Process | None]:
    """The jobs that somebody runs now, by name: the process, None where it has ended before its ``with``."""
    found: dict[str, psutil.Process | None] = {}
    for note in sorted(job_folder(settings, "").glob(f"*/{RUN}")):
        try:
            run = Run.model_validate_json(note.read_text())
        except (OSError, ValueError):
            continue  # Just written, or just removed.
        if _process(run.starter):
            found[note.parent.name] = _process(run.job)
    return found


def _process_id(process: psutil.Process) -> ProcessId:
    return process.pid, process.create_time()


def _process(process_id: ProcessId) -> psutil.Process | None:
    """The process, unless it has ended."""
    pid, started = process_id
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same else None


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
        FileLock(folder / "job.lock"),
        side_log(settings, name).open("ab") as log_file,
    ):
        options.progress.unlink(missing_ok=True)  # Its predecessor's.
        note = folder / RUN
        with started_job(environment, module, options, settings, log_file.fileno()) as job:
            run = Run(starter=_process_id(psutil.Process()), job=_process_id(psutil.Process(job.pid)))
            note.write_text(run.model_dump_json())
            try:
                yield job
            finally:
                note.unlink(missing_ok=True)
