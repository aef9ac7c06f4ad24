"""The job that counts on Flink, digits by label and changes by second: started from a notebook, and ended with it."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from labkit.engines.catalog import ENGINES
from labkit.engines.options import CountOptions, by_second
from labkit.engines.place import check_place
from labkit.engines.side_job import side_job
from labkit.errors import LabError
from labkit.settings import Endpoints, Settings

TABLES: LiteralString = """
CREATE TABLE IF NOT EXISTS {counts} (
    label  smallint PRIMARY KEY,
    digits bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS {by_second} (
    committed timestamp(3),
    operation text,
    changes   bigint NOT NULL,
    PRIMARY KEY (committed, operation)
)
"""


def job_name(table: str) -> str:
    """What the job is called that keeps the counts in a table: its folder and its log are of that name."""
    return f"flink-counts-{table}"


@contextmanager
def count_labels(
    topic: str,
    table: str,
    endpoints: Endpoints,
    settings: Settings,
    *,
    master: str = "",
    parallelism: int | None = None,
    skip_bad: bool = False,
) -> Generator[subprocess.Popen[bytes]]:
    """Keep, within a ``with``, how many digits there are of each label, and how many changes each second had.

    The seconds are of event time: those in which the changes were committed, and not those in which Flink sees them.
    A second is told once it is over, for which Flink takes a change that was committed more than a second after it.
    What came of an earlier one only then would be left out. A snapshot's rows count in the second of the snapshot.

    The job goes on behind what it has counted before. Where a table is missing, it is made, and where there are no
    counts, everything is counted anew.

    Args:
        topic: Change events of a table of digits, each Debezium's whole envelope as JSON, such as
            `labkit.course.envelopes.capture_envelopes` makes.
        table: PostgreSQL's table for the counts: label, digits. Another one, `by_second`, gets the seconds: committed
            (UTC), operation (Debezium's code, such as c for an insert), changes.
        endpoints: Where the lab's servers answer.
        settings: The lab's.
        master: Where Flink runs: here by default, or the address of a session cluster.
        parallelism: Threads or task slots, as of `labkit.engines.place.check_place`.
        skip_bad: Pass over records that are no change events. By default the first one ends the job: Flink says
            nothing of what it passes over, and then the counts are not the table's.

    Raises:
        LabError: PostgreSQL is away, or as of `side_job`.
    """
    like = ENGINES["flink-kafka"]
    place = check_place(like, master, parallelism)
    try:
        with psycopg.connect(endpoints.postgres) as connection:
            names = {"counts": sql.Identifier(table), "by_second": sql.Identifier(by_second(table))}
            connection.execute(sql.SQL(TABLES).format(**names))
            counted = connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone()
    except psycopg.OperationalError as error:
        raise LabError(f"PostgreSQL: {str(error).strip()}", "labkit status") from error

    def make_options(jars: tuple[Path, ...], checkpoint: Path) -> CountOptions:
        return CountOptions(
            servers=endpoints.kafka,
            place=place,
            jars=jars,
            checkpoint=checkpoint,
            topic=topic,
            table=table,
            anew=counted is None,
            skip_bad=skip_bad,
        )

    module = "labkit.engines.flink_counts"
    with side_job(like, job_name(table), module, settings, place, make_options) as job:
        yield job
