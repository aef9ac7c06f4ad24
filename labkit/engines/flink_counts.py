"""Counting on Flink: change events as a table that changes, and a query over it that never ends.

It runs in Flink's own environment. Flink's format ``debezium-json`` makes of a change event what it does to a row: an
update takes the old row back and adds the new one. So a relabelled digit moves from one count to the other, and a
deleted one leaves. The counts are Flink's state, part of its checkpoints, and kept in a table of PostgreSQL.

A second query over the same topic counts the changes themselves in windows of event time: by when a change was
committed in PostgreSQL, whenever Flink gets to see it.
"""

# Flink's packages are in their own environment, not in the one that is checked.
# pyright: reportMissingImports=false

import logging
import threading
from contextlib import closing

from pyflink.table import StreamTableEnvironment

from labkit.engines.child import run_as_child
from labkit.engines.flink_jdbc import written_table
from labkit.engines.flink_savepoint import forget_states, newest_state
from labkit.engines.flink_session import clear_the_way, open_environment, run_until_told, tell_progress
from labkit.engines.lag import Lag, forget_group
from labkit.engines.options import CountOptions, by_second
from labkit.settings import load_endpoints, load_settings
from labkit.stream.topics import offset_range

log = logging.getLogger("labkit.engines.flink_counts")

LAYOUT = 2
"""The first counted labels only."""
DIGITS = """
CREATE TABLE digits (
    id INT,
    label SMALLINT
) WITH (
    'connector' = 'kafka',
    'topic' = '{topic}',
    'properties.bootstrap.servers' = '{servers}',
    'properties.group.id' = '{group}',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'debezium-json',
    'debezium-json.ignore-parse-errors' = '{skip_bad}'
)
"""
CHANGES = """
CREATE TABLE changes (
    op STRING,
    source ROW<ts_ms BIGINT>,
    -- A record that is passed over has no time, and Flink takes no time that is missing.
    committed AS COALESCE(TO_TIMESTAMP_LTZ(source.ts_ms, 3), TO_TIMESTAMP_LTZ(0, 3)),
    -- PostgreSQL notes the time of a commit just before it writes the commit to its log: in the log, they may be a
    -- little out of order.
    WATERMARK FOR committed AS committed - INTERVAL '1' SECOND
) WITH (
    'connector' = 'kafka',
    'topic' = '{topic}',
    'properties.bootstrap.servers' = '{servers}',
    'properties.group.id' = '{group}-by-second',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    -- A partition without records does not hold back the time of the others.
    'scan.watermark.idle-timeout' = '5 s',
    'format' = 'json',
    'json.ignore-parse-errors' = '{skip_bad}'
)
"""
COUNTS = """
CREATE TABLE counts (
    label SMALLINT,
    digits BIGINT,
    PRIMARY KEY (label) NOT ENFORCED
)
"""
BY_SECOND = """
CREATE TABLE by_second (
    committed TIMESTAMP(3),
    operation STRING,
    changes BIGINT,
    PRIMARY KEY (committed, operation) NOT ENFORCED
)
"""
COUNT_LABELS = """
INSERT INTO counts
SELECT label, COUNT(*)
FROM digits
WHERE label IS NOT NULL
GROUP BY label
"""
COUNT_CHANGES = """
INSERT INTO by_second
SELECT window_start, op, COUNT(*)
FROM TABLE(TUMBLE(TABLE changes, DESCRIPTOR(committed), INTERVAL '1' SECOND))
WHERE op IS NOT NULL
GROUP BY window_start, window_end, op
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
    group = f"labkit-{folder.name}"
    if options.anew:
        # Flink writes a count when it changes: going on, it would leave out those that stay as they were.
        forget_states(folder)
        forget_group(options.servers, group)
    state = newest_state(folder, f"rm -r '{folder}'", LAYOUT)
    tables = StreamTableEnvironment.create(open_environment(options, folder, state, most_parallel=1))
    for source in (DIGITS, CHANGES):
        tables.execute_sql(
            source.format(
                topic=options.topic, servers=options.servers, group=group, skip_bad=str(options.skip_bad).lower()
            )
        )
    tables.execute_sql(written_table(COUNTS, options.table, endpoints))
    tables.execute_sql(written_table(BY_SECOND, by_second(options.table), endpoints))
    # One job, and so one checkpoint, for both queries.
    queries = tables.create_statement_set()
    queries.add_insert_sql(COUNT_LABELS)
    queries.add_insert_sql(COUNT_CHANGES)
    with closing(Lag(options.servers, group, dict.fromkeys(offset_range(options.servers, options.topic), 0))) as lag:
        client = queries.execute().get_job_client()
        log.info("counting on Flink at %s%s", options.place.master, f", from {state}" if state else "")
        run_until_told(client, folder, stop, tell=lambda: tell_progress(options, lag))


if __name__ == "__main__":
    run_as_child(run, CountOptions)
