"""Kafka and Kafka Connect: their configuration files and the command lines that start them."""

import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.errors import LabError
from labkit.settings import LOOPBACK, Endpoints, Settings
from labkit.stack.java import class_archive, java_command

# One broker has nobody to replicate to. Few partitions keep start-up and memory small.
BROKER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# Only closed segments are compacted: by default a hundred megabytes of a partition, which a trickle fills in days.
transaction.state.log.segment.bytes=4194304
offsets.topic.segment.bytes=4194304
# A consumer that joins alone need not wait three seconds for company.
group.initial.rebalance.delay.ms=0
# A broker that was killed may register again only when its old session is over: six seconds, not nine. Two were too
# short for a machine with a load of 20: the broker lost its session, and with it the leadership of every partition.
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
# Rows are the learner's own: only heartbeats and internal topics may expire.
log.retention.ms=-1
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=8388608
"""

CONNECT = """\
bootstrap.servers={kafka}
group.id=labkit-connect
listeners={connect}
rest.advertised.host.name={host}
config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
offset.storage.segment.bytes=4194304
status.storage.partitions=1
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
# Source offsets and records are written in one Kafka transaction: a killed worker repeats nothing.
exactly.once.source.support=enabled
# The first ends what a killed worker has left open: the next would wait for it a minute, or for ever. The second keeps
# other users of this machine out.
rest.extension.classes=labkit.connect.LeftoverTransactions,labkit.connect.OwnUserOnly
offset.flush.interval.ms=5000
# By default six digits as text are a request, and these are half of the requests that a fast stream makes.
producer.batch.size=262144
plugin.path={plugins}
plugin.discovery=service_load
# A worker killed hard should be replaced in seconds, not in the default five minutes.
scheduled.rebalance.max.delay.ms=0
session.timeout.ms=10000
heartbeat.interval.ms=3000
"""

LOG4J = """\
<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %c{1}: %m%n"/></Console></Appenders>
  <Loggers>
    <Root level="WARN"><AppenderRef ref="out"/></Root>
    <Logger name="io.debezium" level="INFO"/>
    <!-- These two repeat one line many times a second while a server is away or a task starts. -->
    <Logger name="io.debezium.connector.postgresql.PostgresStreamingChangeEventSource" level="WARN"/>
    <Logger name="org.apache.kafka.clients.NetworkClient" level="ERROR"/>
    <!-- Lists every default as unknown, several screens a connector. -->
    <Logger name="org.apache.kafka.common.config.AbstractConfig" level="ERROR"/>
  </Loggers>
</Configuration>
"""


def write_config(settings: Settings, endpoints: Endpoints, plugins: Path) -> None:
    """Write broker.properties, connect.properties and log4j2.xml into the lab's folder.

    Args:
        settings: The lab's.
        endpoints: Where the servers are to answer.
        plugins: Folder of Connect's plugins, each in a folder of its own.
    """
    folder = settings.home / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broker.properties").write_text(
        BROKER.format(
            host=LOOPBACK,
            kafka=endpoints.kafka_port,
            controller=endpoints.kafka_controller_port,
            data=folder / "data",
        )
    )
    (folder / "connect.properties").write_text(
        CONNECT.format(
            kafka=endpoints.kafka,
            connect=endpoints.connect,
            host=LOOPBACK,
            plugins=plugins,
        )
    )
    (folder / "log4j2.xml").write_text(LOG4J)


def format_storage(settings: Settings, classpath: Sequence[Path]) -> None:
    """Give the broker's data folder its identity, unless it has one.

    Raises:
        LabError: Kafka's storage tool refused.
    """
    folder = settings.home / "kafka"
    if (folder / "data" / "meta.properties").is_file():
        return
    result = subprocess.run(
        [
            *java_command(classpath, heap_mib=96),
            _logging(settings),
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={uuid.uuid4().hex[:22]}",
            f"--config={folder / 'broker.properties'}",
            "--ignore-formatted",
        ],
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        raise LabError(f"Kafka's storage could not be made: {result.stderr.strip()[-400:]}", "labkit doctor")


def commands(settings: Settings, classpath: Sequence[Path]) -> Mapping[str, list[str]]:
    """Command lines of the two servers, by service name."""
    folder = settings.home / "kafka"
    return {
        "kafka": [
            *java_command(classpath, settings.kafka_heap_mib, archive=class_archive(settings, "kafka", classpath)),
            _logging(settings),
            "kafka.Kafka",
            str(folder / "broker.properties"),
        ],
        "connect": [
            *java_command(
                classpath,
                settings.connect_heap_mib,
                compiler_level=settings.capture_compiler_level,
                archive=class_archive(settings, "connect", classpath),
            ),
            _logging(settings),
            "org.apache.kafka.connect.cli.ConnectDistributed",
            str(folder / "connect.properties"),
        ],
    }


def _logging(settings: Settings) -> str:
    return f"-Dlog4j2.configurationFile={settings.home / 'kafka' / 'log4j2.xml'}"
