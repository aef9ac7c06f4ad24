"""An engine's scoring job as a child of `labkit score`: started, given the newest model, and stopped with it."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import psutil
from filelock import FileLock
from pydantic import BaseModel

from labkit.engines.catalog import LOCAL, Engine
from labkit.engines.environment import EngineEnvironment
from labkit.engines.export import current_version, export_current, note_current, portable_file
from labkit.engines.options import JOB_ENVIRONMENT, JobOptions
from labkit.engines.place import Place
from labkit.engines.progress import job_folder
from labkit.engines.reachable import check_reachable
from labkit.errors import LabError
from labkit.settings import CHECKOUT, Settings

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""Between two looks whether a newer model was published."""
STOP_S = 15.0
"""How long a job may take to end its micro-batch; supervisor's patience is longer."""


def check_memory(engine: Engine) -> None:
    """See that there is memory for an engine's job.

    Raises:
        LabError: There is too little.
    """
    free_mib = psutil.virtual_memory().available / 2**20
    if free_mib < engine.memory_mib:
        raise LabError(
            f"{engine.title} wants {engine.memory_mib} MiB of memory, and {free_mib:.0f} MiB are free",
            f"end other programs, or score without it: labkit engine use {LOCAL}",
        )


def run_job(engine: Engine, place: Place, servers: str, settings: Settings, stop: threading.Event) -> None:
    """Run an engine's scoring job until told to stop, and hand it each model that is published.

    Args:
        engine: Which.
        place: Where it runs.
        servers: Kafka's bootstrap servers.
        settings: The lab's.
        stop: Set to end it.

    Raises:
        LabError: The engine is not installed, there is too little memory, its cluster does not answer, or the job has
            ended by itself.
    """
    environment = EngineEnvironment(engine.packages, settings)
    environment.check()
    check_memory(engine)
    check_reachable(engine, place)
    models = settings.home / "models"
    folder = job_folder(settings, engine.name)
    folder.mkdir(parents=True, exist_ok=True)
    handed_over = HandedOver(models, folder / "models")
    if current_version(models) is None:
        log.info("waiting for a model to be published")
    while not handed_over.has_one():
        if stop.wait(LOOK_S):
            return
    options = JobOptions(
        servers=servers,
        place=place,
        jars=tuple(environment.jars),
        models=folder / "models",
        checkpoint=folder / "checkpoint",
    )
    # A job whose starter was killed may need a moment to end: two at once would hinder each other.
    with FileLock(folder / "job.lock"), started_job(environment, engine.module, options, settings) as job:
        while job.poll() is None and not stop.wait(LOOK_S):
            handed_over.newest()
        if job.poll() is not None:
            raise LabError(f"{engine.title}'s job has ended with {job.returncode}", f"labkit logs {engine.service}")


class HandedOver:
    """The models that a job gets: each that is published, but for one that it cannot score with.

    Args:
        store: Folder of the published models.
        folder: Gets them in portable form.
    """

    def __init__(self, store: Path, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._seen: str | None = None

    def newest(self) -> bool:
        """Hand over the newest model, unless that was done; tell whether it was done now.

        One that is damaged, or of another shape, is told once: the job goes on with the one before.
        """
        version = current_version(self._store)
        if version is None or version == self._seen:
            return False
        self._seen = version
        try:
            _export(self._store, self._folder)
        except LabError as error:
            log.error("model %s is not taken: %s", version, error)
            return False
        return True

    def has_one(self) -> bool:
        """Whether there is a model to score with: the newest, or, where that cannot be taken, one before."""
        self.newest()
        return current_version(self._folder) is not None


def _export(store: Path, folder: Path) -> str:
    """Write the newest model in portable form, in a process of its own: TensorFlow's half a gigabyte goes with it.

    One that is there needs no TensorFlow, which takes seconds to load: an engine is back so much sooner.
    """
    version = current_version(store)
    if version is not None and portable_file(folder, version).is_file():
        note_current(folder, version)
        return version
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(export_current, store, folder).result()


@contextmanager
def started_job(
    environment: EngineEnvironment, module: str, options: BaseModel, settings: Settings, log_file: int | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """Run a job in an engine's environment, as a child that ends with this process; left, it is stopped.

    Args:
        environment: The engine's, installed.
        module: The job.
        options: Its one argument, as JSON.
        settings: The lab's, in whose folder the job finds where the servers are.
        log_file: Descriptor that gets what it says; None for this process's own output.
    """
    own = {
        "PYTHONPATH": str(CHECKOUT),
        "JAVA_HOME": str(environment.java_home),
        "PYSPARK_PYTHON": str(environment.python),
        "LABKIT_HOME": str(settings.home),
    }
    job = subprocess.Popen(
        [str(environment.python), "-m", module, options.model_dump_json()],
        stdin=subprocess.PIPE,  # Closed by the system where this process is killed: the job ends, too.
        stdout=log_file,
        stderr=log_file,
        env=os.environ | JOB_ENVIRONMENT | own,
    )
    try:
        yield job
    finally:
        deadline = time.monotonic() + STOP_S
        if job.poll() is None:
            job.send_signal(signal.SIGTERM)
        while job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if job.poll() is None:
            log.warning("the job did not stop within %.0f s", STOP_S)
            job.kill()
        job.wait()
