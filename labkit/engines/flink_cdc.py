"""The scoring job on Flink with its built-in Debezium: from PostgreSQL's log to a table, without Kafka and Connect.

It runs in Flink's own environment. Flink CDC reads the rows and then its own replication slot; what a change was
predicted is written to the table ``predictions``, under the row and its LSN as key. After a crash Flink goes on from
its last checkpoint, and what then comes again is recorded once.
"""

# Flink's packages are in their own environment, not in the one that is checked.
# pyright: reportMissingImports=false

import logging
import threading
from typing import Any

from pyflink.common import WatermarkStrategy
from pyflink.datastream.connectors import Source
from pyflink.java_gateway import get_gateway
from pyflink.table import DataTypes, StreamTableEnvironment
from pyflink.table.udf import udtf

from labkit.engines.child import run_as_child
from labkit.engines.flink_function import ScoreEnvelope
from labkit.engines.flink_jdbc import written_table
from labkit.engines.flink_savepoint import newest_state
from labkit.engines.flink_session import clear_the_way, open_environment, run_until_told, tell_progress
from labkit.engines.options import CDC_SLOT, JobOptions
from labkit.settings import TEST_TABLE, Endpoints, load_endpoints, load_settings

log = logging.getLogger("labkit.engines.flink")

PREDICTIONS = """
CREATE TABLE predictions (
    row_id INT,
    lsn BIGINT,
    operation STRING,
    label SMALLINT,
    predicted SMALLINT,
    model_version STRING,
    committed_at TIMESTAMP(3),
    PRIMARY KEY (row_id, lsn) NOT ENFORCED
)
"""
COLUMNS = [
    DataTypes.INT(),
    DataTypes.BIGINT(),
    DataTypes.STRING(),
    DataTypes.SMALLINT(),
    DataTypes.SMALLINT(),
    DataTypes.STRING(),
    DataTypes.TIMESTAMP(3),
]
INSERT = """
INSERT INTO predictions
SELECT row_id, lsn, operation, label, predicted, model_version, committed_at
FROM changes,
LATERAL TABLE(score(change)) AS scored(row_id, lsn, operation, label, predicted, model_version, committed_at)
"""


def change_source(endpoints: Endpoints, poll_interval_ms: int, heartbeat_ms: int) -> Source:
    """Flink CDC's source of the test table: Debezium's change events as JSON.

    Args:
        endpoints: Where PostgreSQL answers.
        poll_interval_ms: As of the lab's connectors.
        heartbeat_ms: As of the lab's connectors: the slot moves on while the table is idle.
    """
    java: Any = get_gateway().jvm
    cdc = java.org.apache.flink.cdc
    properties = java.java.util.Properties()
    for key, value in {
        "publication.autocreate.mode": "disabled",
        "poll.interval.ms": str(poll_interval_ms),
        # By default it is a minute before anybody is told that somebody else reads the slot.
        "slot.max.retries": "3",
        "slot.retry.delay.ms": "1000",
    }.items():
        properties.setProperty(key, value)
    builder = cdc.connectors.postgres.source.PostgresSourceBuilder.PostgresIncrementalSource.builder()
    source = (
        builder.hostname(endpoints.postgres_host)
        .port(endpoints.postgres_port)
        .database(endpoints.database)
        .schemaList(_texts("public"))
        .tableList(_texts(f"public.{TEST_TABLE}"))
        .username(endpoints.capture_user)
        .password(endpoints.capture_password)
        .slotName(CDC_SLOT)
        .decodingPluginName("pgoutput")
        .heartbeatInterval(java.java.time.Duration.ofMillis(heartbeat_ms))
        .startupOptions(cdc.connectors.base.options.StartupOptions.initial())
        .debeziumProperties(properties)
        .deserializer(cdc.debezium.JsonDebeziumDeserializationSchema())
        .build()
    )
    return Source(source)


def _texts(*values: str) -> Any:
    """A Java array of strings."""
    gateway = get_gateway()
    array = gateway.new_array(gateway.jvm.java.lang.String, len(values))
    for number, value in enumerate(values):
        array[number] = value
    return array


def run(options: JobOptions, stop: threading.Event) -> None:
    """Score until told to stop.

    Raises:
        LabError: The lab is not up, the last checkpoint is of another version, or Flink has ended the job.
    """
    folder = options.progress.parent
    clear_the_way(options, folder)
    settings = load_settings()
    endpoints = load_endpoints(settings)
    options.checkpoint.mkdir(parents=True, exist_ok=True)
    state = newest_state(folder, "labkit engine stop flink-cdc --forget")
    environment = open_environment(options, folder, state, most_parallel=1)
    tables = StreamTableEnvironment.create(environment)
    source = change_source(endpoints, settings.poll_interval_ms, settings.heartbeat_ms)
    changes = environment.from_source(source, WatermarkStrategy.no_watermarks(), "changes")
    tables.create_temporary_view("changes", tables.from_data_stream(changes).alias("change"))
    tables.execute_sql(written_table(PREDICTIONS, "predictions", endpoints))
    tables.create_temporary_function("score", udtf(ScoreEnvelope(options.models), result_types=COLUMNS))
    client = tables.execute_sql(INSERT).get_job_client()
    log.info("scoring on Flink at %s%s", options.place.master, f", from {state}" if state else ", from a snapshot on")
    run_until_told(client, folder, stop, tell=lambda: tell_progress(options))


if __name__ == "__main__":
    run_as_child(run, JobOptions)
