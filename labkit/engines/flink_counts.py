"""Counting on Flink: change events as a table that changes, and a query over it that never ends.

It runs in Flink's own environment. Flink's format ``debezium-json`` makes of a change event what it does to a row: an
update takes the old row back and adds the new one. So a relabelled digit moves from one count to the other, and a
deleted one leaves. The counts are Flink's state, part of its checkpoints, and kept in a table of PostgreSQL.
"""

# Flink's packages are in their own environment, not in the one that is checked.
# pyright: reportMissingImports=false

import logging
import threading

from pyflink.table import StreamTableEnvironment

from labkit.engines.child import run_as_child
from labkit.engines.flink_jdbc import written_table
from labkit.engines.flink_savepoint import forget_states, newest_state
from labkit.engines.flink_session import clear_the_way, open_environment, run_until_told
from labkit.engines.options import CountOptions
from labkit.settings import load_endpoints, load_settings

log = logging.getLogger("labkit.engines.flink_counts")

DIGITS = """
CREATE TABLE digits (
    id INT,
    label SMALLINT
) WITH (
    'connector' = 'kafka',
    'topic' = '{topic}',
    'properties.bootstrap.servers' = '{servers}',
    'properties.group.id' = 'labkit-counts-flink',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'debezium-json',
    'debezium-json.ignore-parse-errors' = '{skip_bad}'
)
"""
COUNTS = """
CREATE TABLE counts (
    label SMALLINT,
    digits BIGINT,
    PRIMARY KEY (label) NOT ENFORCED
)
"""
INSERT = """
INSERT INTO counts
SELECT label, COUNT(*)
FROM digits
WHERE label IS NOT NULL
GROUP BY label
"""


def run(options: CountOptions, stop: threading.Event) -> None:
    """Count until told to stop.

    Raises:
        LabError: The lab is not up, the last checkpoint is of another version, or Flink has ended the job.
    """
    folder = options.checkpoint.parent
    clear_the_way(options, folder)
    endpoints = load_endpoints(load_settings())
    options.checkpoint.mkdir(parents=True, exist_ok=True)
    if options.anew:
        # Flink writes a count when it changes: going on, it would leave out those that stay as they were.
        forget_states(folder)
    state = newest_state(folder, f"rm -r '{folder}'")
    tables = StreamTableEnvironment.create(open_environment(options, folder, state, most_parallel=1))
    tables.execute_sql(
        DIGITS.format(topic=options.topic, servers=options.servers, skip_bad=str(options.skip_bad).lower())
    )
    tables.execute_sql(written_table(COUNTS, options.table, endpoints))
    client = tables.execute_sql(INSERT).get_job_client()
    log.info("counting on Flink at %s%s", options.place.master, f", from {state}" if state else "")
    run_until_told(client, folder, stop, tell=lambda: None, reached=dict)


if __name__ == "__main__":
    run_as_child(run, CountOptions)
