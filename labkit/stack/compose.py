"""The compose stack: the same servers in containers, kept by Docker; the scorer stays a process of this machine."""

import hashlib
import re
import shutil
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from python_on_whales import Container, DockerClient, DockerException

from labkit.errors import LabError
from labkit.settings import (
    CAPTURE_ROUTES,
    CaptureName,
    Endpoints,
    Settings,
    StackName,
    endpoints_file,
    load_endpoints,
    write_endpoints,
)
from labkit.stack import debezium_server, docker, health, plugins
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.base import Report, ServiceStatus
from labkit.stack.compose_environment import COMPOSE_FILE, SAMPLE, environment_file, write_environment
from labkit.stack.home import kept_password, one_at_a_time, prepare_home
from labkit.stack.keeper import Keeper, scorer_programs
from labkit.stack.ports import choose_port, free_port, held_by_other_labs

FIRST = ("postgres", "kafka")
"""The others wait for these."""
ON_DEMAND = tuple(map(debezium_server.service, CAPTURE_ROUTES))
"""Debezium Servers: each starts once its route is captured."""
CAPTURING: Mapping[CaptureName, tuple[str, ...]] = {"connect": ("connect",), "server": ON_DEMAND}
PROFILES = ("server", "jupyter")
"""Optional parts of the compose file: `down` takes them along, whoever started them."""
SOURCE = ("postgres", 5432)
"""PostgreSQL as the other containers see it."""
SOURCE_KAFKA = "kafka:19092"
"""Kafka as they do."""
PUBLISHED = {"postgres_port": ("postgres", 5432), "kafka_port": ("kafka", 9092), "connect_port": ("connect", 8083)}
"""By setting: whose port it is, and which one within the container."""
TRIES = 5
CRASHES = 2
"""A server that Docker has started again as often as this does not come up by itself."""
OTHER_VERSION = re.compile(
    r"incompatible with server|initialized by PostgreSQL version|in 18\+|PostgreSQL data in|another version"
)

# Docker's container states, in the words of ServiceStatus.
STATES = {
    "running": "running",
    "restarting": "starting",
    "created": "stopped",
    "paused": "stopped",
    "removing": "stopped",
}


class ComposeStack:
    """PostgreSQL, Kafka and what captures as one project of docker compose, published on loopback."""

    name: StackName = "compose"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._capture: CaptureName = settings.capture or "connect"
        self._servers = (*FIRST, *CAPTURING[self._capture])
        self._keeper = Keeper(settings)
        digest = hashlib.sha256(str(settings.home.resolve()).encode()).hexdigest()[:10]
        # Two labs on one machine are two projects.
        self.project = f"labkit-{digest}"

    def check(self) -> None:
        """See that Docker and its compose can be used.

        Raises:
            LabError: They cannot.
        """
        self._client()

    def version(self) -> str:
        """Versions of Docker and its compose, once they are known to work.

        Raises:
            LabError: They cannot be used.
        """
        client = self._client()
        with _errors_explained():
            return f"engine {client.info().server_version}, {client.compose.version().strip()}"

    def up(self, report: Report = print) -> Endpoints:
        """Start what does not run yet and wait until all of it answers.

        Returns:
            Where the servers answer.

        Raises:
            LabError: Docker cannot be used, an image could not be fetched, the data are of another version of
                PostgreSQL or of a lab whose folder is gone, or a server did not start.
        """
        prepare_home(self.settings)
        with one_at_a_time(self.settings, report):
            client = self._client()
            self._refuse_foreign_volume(client)
            folder = self._build_plugins(report)
            # A port that is free is taken only once its server listens: another lab must not choose meanwhile.
            with FileLock(self.settings.cache_dir / "ports.lock"):
                endpoints = self._start_servers(client, folder, report)
                health.wait(endpoints, self.settings.start_timeout_s, self.log, report)
                # While it runs, other labs leave this one's ports alone.
                if not self._keeper.running:
                    self._keeper.stop_orphans()
                    self._keeper.start(scorer_programs(self.settings))
            return endpoints

    def down(self, *, keep_data: bool = False, report: Report = print) -> None:
        """Remove containers and network; volumes, images and the lab's folder, too, unless told to keep the data.

        Raises:
            LabError: Docker cannot be used.
        """
        if not self.settings.home.is_dir():
            self._remove(keep_data=keep_data, report=report)  # The folder was deleted by hand, or there is no lab.
            return
        with one_at_a_time(self.settings, report):
            self._remove(keep_data=keep_data, report=report)
            if not keep_data:
                shutil.rmtree(self.settings.home, ignore_errors=True)

    def status(self) -> list[ServiceStatus]:
        """How each server is; an empty list where nothing runs.

        Raises:
            LabError: Docker cannot be used.
        """
        if not endpoints_file(self.settings).is_file():
            return []
        with _errors_explained():
            client = self._client()
            containers = self._containers(client)
            running = [container for container in containers.values() if container.state.running]
            memory = {found.container_id: found.memory_used for found in client.stats(running)} if running else {}
        endpoints = load_endpoints(self.settings)
        found = [health.look_at(_status(name, containers.get(name), memory), endpoints) for name in self._servers]
        return found + (self._keeper.status() if self._keeper.running else [])

    def overhead_mib(self) -> float:
        """Resident memory of the scorer's supervisor, MiB; Docker itself serves others, too."""
        return self._keeper.overhead_mib()

    def start_service(self, name: str) -> None:
        """Start one service, unless it runs."""
        if name not in self._servers:
            self._keeper.start_program(name)
            return
        with _errors_explained():
            if name in ON_DEMAND:
                self._start_on_demand(name)
            else:
                self._client().compose.start(name)

    def stop_service(self, name: str) -> None:
        """Stop one service, unless it is stopped."""
        if name not in self._servers:
            self._keeper.stop_program(name)
            return
        with _errors_explained():
            if name in ON_DEMAND:
                self._client().compose.rm([name], stop=True)  # Back to where it was before it was asked for.
            else:
                self._client().compose.stop(name)

    def is_running(self, name: str) -> bool:
        """Whether one service runs, or is just being started."""
        if name not in self._servers:
            return self._keeper.runs_program(name)
        with _errors_explained():
            container = self._containers(self._client()).get(name)
            return container is not None and container.state.status in ("running", "restarting")

    def log(self, name: str, lines: int = 40) -> str:
        """The last lines of a service's log."""
        if name not in self._servers:
            return self._keeper.log(name, lines)
        with _errors_explained():
            said = str(self._client().compose.logs(name, tail=str(lines), no_log_prefix=True))
        return "\n".join(said.splitlines()[-lines:])

    def _start_on_demand(self, name: str) -> None:
        try:
            self._client().compose.up([name], detach=True, quiet=True, dependencies=False)
        except DockerException as error:
            explained = docker.explained(error)
            if isinstance(explained, docker.PortTakenError):
                # It was free at the start of the lab, which chooses anew for what does not run.
                raise LabError(explained.problem, "labkit up, which takes another port; then the same again") from error
            raise explained from error

    def _client(self, profiles: Sequence[str] = ()) -> DockerClient:
        profiles = profiles or (("server",) if self._capture == "server" else ())
        if not COMPOSE_FILE.is_file():
            raise LabError(f"there is no {COMPOSE_FILE.name}: it comes with the repository", "run labkit in a clone")
        written = environment_file(self.settings)
        # To stop or look at what is there, any value does.
        environment = written if written.is_file() else SAMPLE
        return docker.connect([COMPOSE_FILE], environment, self.project, list(profiles))

    def _refuse_foreign_volume(self, client: DockerClient) -> None:
        """Where the lab's folder was deleted by hand, the password to the rows is gone with it."""
        if environment_file(self.settings).is_file():
            return
        with _errors_explained():
            if client.volume.exists(f"{self.project}_postgres"):
                raise LabError(
                    f"Docker still holds data of a lab whose folder {self.settings.home} was deleted",
                    f"LABKIT_STACK={self.name} labkit down deletes them, too; then the same command again",
                )

    def _build_plugins(self, report: Report) -> Path:
        """Compile our plugins for Kafka Connect; return the folder that holds their jar alone."""
        cache = ArtifactCache(self.settings.cache_dir, mirror=self.settings.mirror)
        cache.fetch(report=report)
        return plugins.alone(cache).parent

    def _start_servers(self, client: DockerClient, folder: Path, report: Report) -> Endpoints:
        refused: set[int] = set()
        for attempt in range(1, TRIES + 1):
            endpoints = self._choose_endpoints(client, refused, report)
            environment = write_environment(self.settings, endpoints, folder)
            client.client_config.compose_env_files = [environment]
            try:
                self._start_containers(client, report)
            except docker.PortTakenError as error:
                if error.port is None or attempt == TRIES:
                    raise
                refused.add(error.port)
            except docker.NameTakenError:
                # The start before this one was killed, and what it had called is still at work.
                if attempt == TRIES:
                    raise
                time.sleep(attempt)
            else:
                write_endpoints(self.settings, endpoints)
                return endpoints
        raise AssertionError("the last try returns or raises")

    def _start_containers(self, client: DockerClient, report: Report) -> None:
        with _errors_explained():
            self._announce_images(client, report)
            report("servers: starting their containers")
            client.compose.up([*FIRST], detach=True, quiet=True)
            # Compose itself would wait a minute and a half for a server that cannot start, and then not say why.
            self._wait_until_healthy(client, FIRST)
            if self._capture == "server":
                client.compose.build([*ON_DEMAND], quiet=True)
            else:
                client.compose.up([*self._servers], detach=True, build=True, quiet=True)

    def _announce_images(self, client: DockerClient, report: Report) -> None:
        services = client.compose.config().services or {}
        wanted = {services[name].image for name in FIRST if name in services}
        missing = sorted(image for image in wanted if image and not client.image.exists(image))
        if missing:
            report(f"images: fetching {', '.join(missing)}, once for this machine")
        made = CAPTURING[self._capture][-1]
        if not client.image.exists(f"{self.project}-{made}"):
            whose = "Debezium Server's" if self._capture == "server" else "Kafka Connect's"
            report(f"images: {whose} is made with our plugins; what it is made from is fetched once, too")

    def _wait_until_healthy(self, client: DockerClient, names: Collection[str]) -> None:
        deadline = time.monotonic() + self.settings.start_timeout_s
        while True:
            containers = self._containers(client)
            ill = [name for name in names if name not in containers or _health(containers[name]) != "healthy"]
            if not ill:
                return
            for name in ill:
                if name in containers and containers[name].restart_count >= CRASHES:
                    raise self._crash(name)
            if time.monotonic() > deadline:
                raise LabError(
                    f"{ill[0]} does not answer after {self.settings.start_timeout_s} s: {self.log(ill[0], 1)}",
                    f"labkit logs {ill[0]}",
                )
            time.sleep(0.3)

    def _crash(self, name: str) -> LabError:
        said = self.log(name, 40)
        with _errors_explained():
            self._client().compose.stop(name)  # Otherwise it would go on crashing for as long as the machine is up.
        culprit = next((line for line in said.splitlines() if OTHER_VERSION.search(line)), "")
        if name == "postgres" and culprit:
            return LabError(
                f"the rows in Docker's volume are of another version of PostgreSQL: {culprit.strip()[:200]}",
                "labkit down deletes them; then the same command again",
            )
        fatal = [line for line in said.splitlines() if re.search(r"FATAL|ERROR|Error|Exception", line)]
        last = (fatal or [docker.last_line(said)])[-1].strip()
        return LabError(f"{name} ends as soon as it starts: {last[:200]}", f"labkit logs {name}")

    def _choose_endpoints(self, client: DockerClient, refused: Collection[int], report: Report) -> Endpoints:
        with _errors_explained():
            containers = self._containers(client)
        refused = {*refused, *held_by_other_labs(self.settings)}
        chosen: dict[str, int] = {}
        for field, (service, inner) in PUBLISHED.items():
            held = _published(containers.get(service), inner)
            wished = int(getattr(self.settings, field))
            chosen[field] = held or choose_port(field, wished, [*chosen.values(), *refused], report)
        servers: dict[str, int] = {}
        for name in ON_DEMAND if self._capture == "server" else ():
            held = _published(containers.get(name), debezium_server.IN_A_CONTAINER[0])
            taken = [*chosen.values(), *servers.values(), *refused]
            servers[name] = held or free_port(self.settings.server_port, taken)
        return Endpoints(
            stack=self.name,
            capture=self._capture,
            server_ports=servers,
            postgres_port=chosen["postgres_port"],
            kafka_port=chosen["kafka_port"],
            connect_port=chosen["connect_port"],
            source_host=SOURCE[0],
            source_port=SOURCE[1],
            source_kafka=SOURCE_KAFKA,
            admin_password=kept_password(self.settings, "admin"),
            capture_password=kept_password(self.settings, "capture"),
        )

    def _containers(self, client: DockerClient) -> dict[str, Container]:
        """The project's containers, by service."""
        found = client.compose.ps(all=True)
        return {(container.config.labels or {})["com.docker.compose.service"]: container for container in found}

    def _remove(self, *, keep_data: bool, report: Report) -> None:
        self._keeper.stop(lambda _: None)
        with _errors_explained():
            client = self._client(PROFILES)
            if self._containers(client):
                report("stopping the servers")
            client.compose.down(
                remove_orphans=True, volumes=not keep_data, remove_images=None if keep_data else "local", quiet=True
            )
        endpoints_file(self.settings).unlink(missing_ok=True)


@contextmanager
def _errors_explained() -> Generator[None]:
    try:
        yield
    except DockerException as error:
        raise docker.explained(error) from error


def _status(name: str, container: Container | None, memory: Mapping[str, int]) -> ServiceStatus:
    if container is None:
        return ServiceStatus(name=name, state="stopped", healthy=False, note="there is no container")
    state = STATES.get(container.state.status or "", "failed")
    running = state == "running"
    started = container.state.started_at
    used = next((size for key, size in memory.items() if container.id.startswith(key)), 0)
    note = f"ended with {container.state.exit_code}" if state == "failed" else ""
    service = ServiceStatus(name=name, state=state, healthy=running, note=note)
    if not running:
        return service
    return replace(
        service,
        pid=container.state.pid or None,
        rss_mib=used / 2**20,
        uptime_s=(datetime.now(UTC) - started).total_seconds() if started else 0.0,
        note="Docker finds it unhealthy" if _health(container) == "unhealthy" else "",
    )


def _health(container: Container) -> str:
    found = container.state.health
    return (found.status if found else None) or ""


def _published(container: Container | None, inner: int) -> int | None:
    """The port of this machine on which a running container answers."""
    if container is None or not container.state.running:
        return None
    bindings = (container.network_settings.ports or {}).get(f"{inner}/tcp") or []
    return next((int(binding["HostPort"]) for binding in bindings), None)
