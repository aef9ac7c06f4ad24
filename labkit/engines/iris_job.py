"""The job that learns iris, started from a notebook or a test, and ended with it."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from labkit.engines.catalog import ENGINES, check_master
from labkit.engines.choice import HERE
from labkit.engines.environment import EngineEnvironment
from labkit.engines.flink_savepoint import CHECKPOINTS
from labkit.engines.job import check_memory, started_job
from labkit.engines.options import IrisOptions
from labkit.errors import LabError
from labkit.online.kmeans import Unit
from labkit.settings import Settings

IrisEngine = Literal["spark", "flink"]
LIKE: dict[IrisEngine, str] = {"spark": "spark", "flink": "flink-kafka"}
"""The engine that scores digits with the same packages, at the same places, with as much memory."""


def iris_folder(settings: Settings, engine: IrisEngine) -> Path:
    """What a job that learns iris keeps of this lab: its checkpoints, and its log."""
    return settings.home / "engines" / f"{engine}-iris"


def iris_log(settings: Settings, engine: IrisEngine) -> Path:
    """What the jobs that learned iris have said."""
    return iris_folder(settings, engine) / "iris.log"


@contextmanager
def learn_iris(
    engine: IrisEngine,
    servers: str,
    settings: Settings,
    master: str = HERE,
    *,
    decay: float = 1.0,
    unit: Unit = "batches",
) -> Generator[subprocess.Popen[bytes]]:
    """Learn iris on Spark or Flink within a ``with``. It goes on behind what was learned before.

    Args:
        engine: ``spark`` or ``flink``.
        servers: Kafka's bootstrap servers.
        settings: The lab's.
        master: Where the engine runs.
        decay: What a past unit still counts, 0 to 1.
        unit: What the decay counts.

    Raises:
        LabError: There is no such engine or place, it is not installed, or there is too little memory.
    """
    if engine not in LIKE:
        raise LabError(f"iris is learned on no engine {engine!r}", f"one of {', '.join(LIKE)}")
    like = ENGINES[LIKE[engine]]
    environment = EngineEnvironment(like.packages, settings)
    environment.check()
    check_memory(like)
    folder = iris_folder(settings, engine)
    folder.mkdir(parents=True, exist_ok=True)
    options = IrisOptions(
        servers=servers,
        master=check_master(like, master),
        jars=tuple(environment.jars),
        checkpoint=folder / CHECKPOINTS,
        decay=decay,
        unit=unit,
    )
    with (
        iris_log(settings, engine).open("ab") as log_file,
        started_job(environment, f"labkit.engines.{engine}_iris", options, log_file.fileno()) as job,
    ):
        yield job
