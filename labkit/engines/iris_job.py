"""The job that learns iris, started from a notebook or a test, and ended with it."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from labkit.engines.catalog import ENGINES
from labkit.engines.options import IrisOptions
from labkit.engines.place import check_place
from labkit.engines.progress import job_folder
from labkit.engines.side_job import side_job, side_log
from labkit.errors import LabError
from labkit.online.kmeans import Unit
from labkit.settings import Settings

IrisEngine = Literal["spark", "flink"]
LIKE: dict[IrisEngine, str] = {"spark": "spark", "flink": "flink-kafka"}
"""The engine that scores digits with the same packages, at the same places, with as much memory."""


def job_name(engine: IrisEngine) -> str:
    """What a job that learns iris is called."""
    return f"{engine}-iris"


def iris_folder(settings: Settings, engine: IrisEngine) -> Path:
    """What a job that learns iris keeps of this lab: its checkpoints, and its log."""
    return job_folder(settings, job_name(engine))


def iris_log(settings: Settings, engine: IrisEngine) -> Path:
    """What the jobs that learned iris have said."""
    return side_log(settings, job_name(engine))


@contextmanager
def learn_iris(
    engine: IrisEngine,
    servers: str,
    settings: Settings,
    *,
    master: str = "",
    parallelism: int | None = None,
    decay: float = 1.0,
    unit: Unit = "batches",
) -> Generator[subprocess.Popen[bytes]]:
    """Learn iris on Spark or Flink within a ``with``. It goes on behind what was learned before.

    Args:
        engine: ``spark`` or ``flink``.
        servers: Kafka's bootstrap servers.
        settings: The lab's.
        master: Where the engine runs: here by default, or the address of a cluster.
        parallelism: Threads, cores or task slots, as of `labkit.engines.place.check_place`.
        decay: What a past unit still counts, 0 to 1.
        unit: What the decay counts.

    Raises:
        LabError: There is no such engine or place, it is not installed, or there is too little memory.
    """
    if engine not in LIKE:
        raise LabError(f"iris is learned on no engine {engine!r}", f"one of {', '.join(LIKE)}")

    like = ENGINES[LIKE[engine]]
    place = check_place(like, master, parallelism)

    def make_options(jars: tuple[Path, ...], checkpoint: Path) -> IrisOptions:
        return IrisOptions(servers=servers, place=place, jars=jars, checkpoint=checkpoint, decay=decay, unit=unit)

    module = f"labkit.engines.{engine}_iris"
    with side_job(like, job_name(engine), module, settings, place, make_options) as job:
        yield job
