"""The job that counts digits by label on Flink, started from a notebook or a test, and ended with it."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from labkit.engines.catalog import ENGINES
from labkit.engines.choice import HERE
from labkit.engines.options import CountOptions
from labkit.engines.side_job import side_folder, side_job, side_log
from labkit.settings import Endpoints, Settings

JOB = "flink-counts"
TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS {table} (
    label  smallint PRIMARY KEY,
    digits bigint NOT NULL,
    newest timestamp(3) NOT NULL
)
"""


def count_folder(settings: Settings) -> Path:
    """The job's checkpoints. Remove it to begin anew."""
    return side_folder(settings, JOB)


def count_log(settings: Settings) -> Path:
    """What the jobs that counted have said."""
    return side_log(settings, JOB)


@contextmanager
def count_labels(
    topic: str, table: str, endpoints: Endpoints, settings: Settings, master: str = HERE
) -> Generator[subprocess.Popen[bytes]]:
    """Keep, within a ``with``, how many digits there are of each label, and when the newest of them was committed.

    Args:
        topic: Change events of a table of digits, each Debezium's whole envelope as JSON.
        table: PostgreSQL's table for the counts, made where it is missing: label, digits, newest (UTC).
        endpoints: Where the lab's servers answer.
        settings: The lab's.
        master: Where Flink runs.

    Raises:
        LabError: As of `side_job`.
    """
    with psycopg.connect(endpoints.postgres) as connection:
        connection.execute(sql.SQL(TABLE).format(table=sql.Identifier(table)))

    def make_options(jars: tuple[Path, ...], checkpoint: Path) -> CountOptions:
        return CountOptions(
            servers=endpoints.kafka, master=master, jars=jars, checkpoint=checkpoint, topic=topic, table=table
        )

    with side_job(ENGINES["flink-kafka"], JOB, "labkit.engines.flink_counts", settings, master, make_options) as job:
        yield job
