"""The job that learns iris, started from a notebook or a test, and ended with it."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from labkit.engines.catalog import check_master, find_engine
from labkit.engines.environment import EngineEnvironment
from labkit.engines.job import check_memory, started_job
from labkit.engines.options import IrisOptions
from labkit.engines.progress import job_folder
from labkit.online.kmeans import Unit
from labkit.settings import Settings

LOG = "iris.log"


@contextmanager
def learn_on_spark(
    servers: str, settings: Settings, master: str = "local[2]", *, decay: float = 1.0, unit: Unit = "batches"
) -> Generator[subprocess.Popen[bytes]]:
    """Learn iris on Spark within a ``with``. It goes on behind what the centres in Kafka have learned.

    What the job says is in ``engines/spark/iris.log`` of the lab's folder.

    Args:
        servers: Kafka's bootstrap servers.
        settings: The lab's.
        master: Where Spark runs.
        decay: What a past unit still counts, 0 to 1.
        unit: What the decay counts.

    Raises:
        LabError: Spark is not installed, or there is too little memory.
    """
    engine = find_engine("spark")
    environment = EngineEnvironment(engine, settings)
    environment.check()
    check_memory(engine)
    folder = job_folder(settings, engine)
    folder.mkdir(parents=True, exist_ok=True)
    options = IrisOptions(
        servers=servers,
        master=check_master(master),
        jars=tuple(environment.jars),
        checkpoint=folder / "iris-checkpoint",
        decay=decay,
        unit=unit,
    )
    with (
        (folder / LOG).open("ab") as log_file,
        started_job(environment, "labkit.engines.spark_iris", options, log_file.fileno()) as job,
    ):
        yield job
