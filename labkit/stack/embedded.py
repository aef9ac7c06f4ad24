"""The embedded stack: real servers as plain processes of this user, kept by supervisor, without Docker and root."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from labkit.settings import (
    CDC_SCORER,
    SCORER,
    CaptureName,
    Endpoints,
    Settings,
    StackName,
    endpoints_file,
    load_endpoints,
    write_endpoints,
)
from labkit.stack import debezium_server, health, kafka, plugins, postgres
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.base import Report, ServiceStatus
from labkit.stack.home import kept_password, one_at_a_time, prepare_home
from labkit.stack.java import prepare_sharing
from labkit.stack.keeper import Keeper, Program, scorer_programs
from labkit.stack.ports import choose_port, free_port, held_by_other_labs

SERVERS = ("postgres", "kafka", "connect")
"""Started together, without Connect where Debezium Server captures. The rest starts once there is something for it."""


class EmbeddedStack:
    """PostgreSQL, Kafka, Kafka Connect and the scorer on this machine, bound to loopback."""

    name: StackName = "embedded"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._capture: CaptureName = settings.capture or "connect"
        self._keeper = Keeper(settings)

    def check(self) -> None:
        """Nothing is needed beside what labkit brings along or fetches."""

    def up(self, report: Report = print) -> Endpoints:
        """Start what does not run yet and wait until all of it answers.

        Returns:
            Where the servers answer.

        Raises:
            LabError: The disk is nearly full, a folder cannot be written, a download failed, or a server did not start.
        """
        prepare_home(self.settings)
        with one_at_a_time(self.settings, report):
            if not self._keeper.running:
                self._keeper.stop_orphans(self._marks())
                return self._start(report)
            endpoints = load_endpoints(self.settings)
            self._start_stopped()
            health.wait(endpoints, self.settings.start_timeout_s, self.log, report)
            return endpoints

    def down(self, *, keep_data: bool = False, report: Report = print) -> None:
        """Stop every process of this lab; remove its folder too, unless told to keep the data."""
        if not self.settings.home.is_dir():
            self._stop(report)  # The folder was deleted by hand, or there is no lab.
            return
        with one_at_a_time(self.settings, report):
            self._stop(report)
            if not keep_data:
                postgres.remove(postgres.place(self.settings))
                shutil.rmtree(self.settings.home, ignore_errors=True)

    def status(self) -> list[ServiceStatus]:
        """How each server is; an empty list where nothing runs."""
        if not self._keeper.running:
            return []
        endpoints = load_endpoints(self.settings)
        order = [*SERVERS, *endpoints.server_ports, SCORER, CDC_SCORER]
        found = [health.look_at(service, endpoints) for service in self._keeper.status()]
        return sorted(found, key=lambda status: order.index(status.name))

    def overhead_mib(self) -> float:
        """Resident memory of supervisor itself, MiB."""
        return self._keeper.overhead_mib()

    def start_service(self, name: str) -> None:
        """Start one service, unless it runs."""
        self._keeper.start_program(name)

    def stop_service(self, name: str) -> None:
        """Stop one service, unless it is stopped."""
        self._keeper.stop_program(name)

    def is_running(self, name: str) -> bool:
        """Whether one service runs, or is just being started."""
        return self._keeper.runs_program(name)

    def log(self, name: str, lines: int = 40) -> str:
        """The last lines of a service's log."""
        return self._keeper.log(name, lines)

    def _marks(self) -> Sequence[str]:
        """What the command lines of this lab's servers, and of nobody else's, hold."""
        own = [str(self.settings.home / name) for name in ("kafka", "server")]
        return [*own, str(postgres.place(self.settings).data)]

    def _stop(self, report: Report) -> None:
        self._keeper.stop(report, marks=self._marks())
        endpoints_file(self.settings).unlink(missing_ok=True)

    def _start(self, report: Report) -> Endpoints:
        classpath, jar = self._prepare_jars(report)
        servers = self._prepare_servers(jar, report) if self._capture == "server" else []
        # A port that is free is taken only once its server listens: another lab of this user must not choose meanwhile.
        with FileLock(self.settings.cache_dir / "ports.lock"):
            endpoints = self._start_servers(classpath, jar, servers, report)
            health.wait(endpoints, self.settings.start_timeout_s, self.log, report)
        return endpoints

    def _prepare_jars(self, report: Report) -> tuple[list[Path], Path]:
        """Fetch, unpack and compile what is missing; return Kafka's jars, and that of our plugins."""
        cache = ArtifactCache(self.settings.cache_dir, mirror=self.settings.mirror)
        cache.fetch(report=report)
        classpath = cache.paths("kafka")
        jar = plugins.beside_debezium(cache)
        with FileLock(cache.folder / "fetch.lock"):
            prepare_sharing(self.settings)
        return classpath, jar

    def _prepare_servers(self, jar: Path, report: Report) -> list[Program]:
        cache = ArtifactCache(self.settings.cache_dir, mirror=self.settings.mirror)
        return debezium_server.programs(self.settings, [*debezium_server.prepare(cache, report), jar])

    def _start_servers(self, classpath: list[Path], jar: Path, servers: list[Program], report: Report) -> Endpoints:
        where = postgres.place(self.settings)
        endpoints = self._choose_endpoints(report)
        plugin = jar.parent
        kafka.write_config(self.settings, endpoints, plugin.parent)
        if not (where.data / "PG_VERSION").is_file():
            report("servers: making the database cluster and Kafka's storage")
        with ThreadPoolExecutor(2) as pool:
            cluster = pool.submit(postgres.prepare, where, endpoints.admin_password)
            storage = pool.submit(kafka.format_storage, self.settings, classpath)
            cluster.result()
            storage.result()
        postgres.configure(where, endpoints, self.settings)
        write_endpoints(self.settings, endpoints)
        self._keeper.start(self._programs(where, classpath, servers))
        return endpoints

    def _programs(self, where: postgres.PostgresPlace, classpath: list[Path], servers: list[Program]) -> list[Program]:
        java = kafka.commands(self.settings, classpath)
        return [
            postgres.program(where),
            Program("kafka", java["kafka"]),
            *(servers or [Program("connect", java["connect"])]),
            *scorer_programs(self.settings),
        ]

    def _choose_endpoints(self, report: Report) -> Endpoints:
        others = held_by_other_labs(self.settings)
        chosen: dict[str, int] = {}
        for field in ("postgres_port", "kafka_port", "kafka_controller_port", "connect_port"):
            unused = field == "connect_port" and self._capture == "server"
            tell = (lambda _: None) if unused else report
            taken = [*chosen.values(), *others]
            chosen[field] = choose_port(field, int(getattr(self.settings, field)), taken, tell)
        servers: dict[str, int] = {}
        for name in debezium_server.names() if self._capture == "server" else ():
            taken = [*chosen.values(), *servers.values(), *others]
            servers[name] = free_port(self.settings.server_port, taken)
        return Endpoints(
            stack=self.name,
            capture=self._capture,
            server_ports=servers,
            postgres_port=chosen["postgres_port"],
            kafka_port=chosen["kafka_port"],
            kafka_controller_port=chosen["kafka_controller_port"],
            connect_port=chosen["connect_port"],
            source_port=chosen["postgres_port"],
            admin_password=kept_password(self.settings, "admin"),
            capture_password=kept_password(self.settings, "capture"),
        )

    def _start_stopped(self) -> None:
        for service in self._keeper.status():
            if service.name in SERVERS and service.state in ("stopped", "failed"):
                self.start_service(service.name)
