"""What an engine's job is told by the one who starts it."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from labkit.engines.place import HERE, Place
from labkit.engines.progress import PROGRESS
from labkit.settings import LOOPBACK

CDC_SLOT = "flink"
"""Replication slot of Flink's built-in Debezium."""


class EngineOptions(BaseModel):
    """What every job is told, as one JSON argument.

    Attributes:
        servers: Kafka's bootstrap servers.
        place: Where the engine runs.
        jars: What the engine's own packages lack.
        checkpoint: Folder of the engine's own record of how far it is, in this run, within the job's folder.
        most_at_once: Records in one micro-batch of the engine, at most.
    """

    servers: str
    place: Place = HERE
    jars: tuple[Path, ...] = ()
    checkpoint: Path
    most_at_once: int = Field(default=5000, ge=1)

    @property
    def progress(self) -> Path:
        """File in which the job tells how it is."""
        return self.checkpoint.parent / PROGRESS


class JobOptions(EngineOptions):
    """What a job that scores digits is told.

    Attributes:
        models: Folder of the portable models, see `labkit.engines.export`.
    """

    models: Path


class IrisOptions(EngineOptions):
    """What a job that learns iris is told.

    Attributes:
        decay: What a past mini-batch, or a past point, still counts, see `labkit.online.kmeans.learn`.
        unit: What the decay counts.
    """

    decay: float = Field(default=1.0, ge=0, le=1)
    unit: Literal["batches", "points"] = "batches"


def by_second(table: str) -> str:
    """What the table is called that keeps the changes of each second, beside one that keeps the counts."""
    return f"{table}_by_second"


class CountOptions(EngineOptions):
    """What a job that counts digits by label is told.

    Attributes:
        topic: Change events, each Debezium's whole envelope as JSON.
        table: PostgreSQL's table that gets the counts, see `labkit.engines.count_job.count_labels`.
        anew: Count from the beginning, whatever was counted before: the table is empty.
        skip_bad: Pass over records that are no change events, in place of ending the job.
    """

    topic: str
    table: str
    anew: bool = False
    skip_bad: bool = False


JOB_ENVIRONMENT = {
    # Its own servers listen on this machine alone.
    "SPARK_LOCAL_IP": LOOPBACK,
    # Apache Beam, within Flink's packages, says so at every start.
    "PYTHONWARNINGS": "ignore:pkg_resources is deprecated as an API",
}
"""Environment variables of every job."""
WORKER_PYTHON = "python3"
"""The Python of a cluster's workers, as they find it; here, an engine's own is used."""
