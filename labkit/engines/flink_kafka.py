"""The scoring job on Flink: from the change events in Kafka to predictions in Kafka, in Flink SQL.

It runs in Flink's own environment. Flink's sink writes the predictions in a Kafka transaction and commits it when the
checkpoint is complete that holds the offsets of their events. After a crash nothing of that is asked: what was left
open is ended, and the predictions topic says by itself up to which event it is scored, as for every other scorer.
"""

# Flink's packages are in their own environment, not in the one that is checked.
# pyright: reportMissingImports=false

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import closing

from kafka.structs import TopicPartition
from pyflink.table import DataTypes, StreamTableEnvironment
from pyflink.table.udf import udtf

from labkit.engines.child import run_as_child
from labkit.engines.flink_function import Score
from labkit.engines.flink_savepoint import take_savepoint
from labkit.engines.flink_session import clear_the_way, open_environment, run_until_told, tell_progress
from labkit.engines.lag import Lag
from labkit.engines.options import JobOptions
from labkit.engines.transactions import end_transactions
from labkit.model.resume import EVENTS_TOPIC, resume_positions
from labkit.settings import PREDICTIONS_TOPIC

log = logging.getLogger("labkit.engines.flink")

GROUP = "labkit-scorer-flink"
TRANSACTIONS = "labkit-scorer-flink-"
"""How the names of its Kafka transactions begin. Each run adds its own number: Flink numbers them on, and at its start
looks through all that an earlier run of the same name has used."""

EVENTS = """
CREATE TABLE events (
    `key` BYTES,
    `value` BYTES,
    `topic` STRING METADATA VIRTUAL,
    `partition` INT METADATA VIRTUAL,
    `offset` BIGINT METADATA VIRTUAL,
    `timestamp` TIMESTAMP_LTZ(3) METADATA VIRTUAL,
    `headers` MAP<STRING, BYTES> METADATA VIRTUAL,
    -- Event time: when the record was written. Debezium's order within a row is that of the partition.
    WATERMARK FOR `timestamp` AS `timestamp`
) WITH (
    'connector' = 'kafka',
    'topic' = '{topic}',
    'properties.bootstrap.servers' = '{servers}',
    'properties.group.id' = '{group}',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'specific-offsets',
    'scan.startup.specific-offsets' = '{positions}',
    'key.format' = 'raw',
    'key.fields' = 'key',
    'value.format' = 'raw',
    'value.fields-include' = 'EXCEPT_KEY'
)
"""
# Kafka's own partitioner puts a key to the same partition number in both topics, as they have equally many.
PREDICTIONS = """
CREATE TABLE predictions (
    `key` BYTES,
    `value` BYTES
) WITH (
    'connector' = 'kafka',
    'topic' = '{topic}',
    'properties.bootstrap.servers' = '{servers}',
    -- Longer than any pause between two checkpoints: what timed out would be lost to Flink.
    'properties.transaction.timeout.ms' = '600000',
    'sink.delivery-guarantee' = 'exactly-once',
    'sink.transactional-id-prefix' = '{transactions}',
    'key.format' = 'raw',
    'key.fields' = 'key',
    'value.format' = 'raw',
    'value.fields-include' = 'EXCEPT_KEY'
)
"""
INSERT = """
INSERT INTO predictions
SELECT `key`, prediction
FROM events,
LATERAL TABLE(score(`topic`, `partition`, `offset`, `timestamp`, `key`, `value`, `headers`)) AS scored(prediction)
"""


def run(options: JobOptions, stop: threading.Event) -> None:
    """Score until told to stop.

    Raises:
        LabError: A topic is missing, the broker is away, or Flink has ended the job.
    """
    folder = options.progress.parent
    clear_the_way(options, folder)
    end_transactions(options.servers, TRANSACTIONS)
    positions = resume_positions(options.servers)
    savepoint = take_savepoint(folder, _by_partition(positions))
    shutil.rmtree(options.checkpoint, ignore_errors=True)
    options.checkpoint.mkdir(parents=True)
    tables = StreamTableEnvironment.create(open_environment(options, folder, savepoint, len(positions)))
    offsets = ";".join(f"partition:{place.partition},offset:{offset}" for place, offset in positions.items())
    tables.execute_sql(EVENTS.format(topic=EVENTS_TOPIC, servers=options.servers, group=GROUP, positions=offsets))
    names = f"{TRANSACTIONS}{time.time_ns() // 1_000_000}"
    tables.execute_sql(PREDICTIONS.format(topic=PREDICTIONS_TOPIC, servers=options.servers, transactions=names))
    tables.create_temporary_function("score", udtf(Score(options.models), result_types=[DataTypes.BYTES()]))
    with closing(Lag(options.servers, GROUP, positions)) as lag:
        client = tables.execute_sql(INSERT).get_job_client()
        log.info("scoring on Flink at %s%s", options.place.master, f", from {savepoint}" if savepoint else "")
        run_until_told(
            client,
            folder,
            stop,
            tell=lambda: tell_progress(options, lag),
            reached=lambda: _by_partition(resume_positions(options.servers)),
        )


def _by_partition(positions: Mapping[TopicPartition, int]) -> dict[str, int]:
    return {str(place.partition): offset for place, offset in positions.items()}


if __name__ == "__main__":
    run_as_child(run, JobOptions)
