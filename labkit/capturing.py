"""Who captures the tables: Kafka Connect or Debezium Server, behind one small protocol.

Both read the same slots, write to the same topics and keep the position they have reached in the same place (see
SharedPositions.java). So what is captured outlives a change from one to the other; a note in the lab's folder says
which routes that are.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError

from labkit.capture.configs import load_config
from labkit.capture.connect import ConnectClient
from labkit.capture.server_config import (
    POSITIONS_TOPIC,
    http_properties,
    kafka_properties,
    without_password,
    write_properties,
)
from labkit.database.prediction_table import PredictionTable
from labkit.errors import LabError
from labkit.settings import CAPTURE_ROUTES, HTTP_ROUTE, HTTP_SCORER, LOOPBACK, Endpoints, Settings
from labkit.stack import debezium_server, health
from labkit.stack.base import ServiceStatus, Stack
from labkit.stack.home import kept_password
from labkit.stream.topics import CLIENT, MissingTopicError, topic_id

PLACES: Mapping[str, str] = {"talk": "csv"}
"""The talk's configuration shares slot and topics with the csv route: it takes its place."""


CHANGES_PATH = "/changes"
"""Where Debezium Server posts to the scorer."""


def webhook_secret(settings: Settings) -> str:
    """The secret that signs the posts of the http route, as Standard Webhooks wants it."""
    return base64.b64encode(hashlib.sha256(kept_password(settings, "webhook").encode()).digest()).decode()


class Capturing(Protocol):
    """Something that runs Debezium."""

    def start(self, *routes: str) -> None:
        """Capture by some routes and wait until they run. Repeating it changes nothing."""
        ...

    def wait(self, *routes: str) -> None:
        """Wait until these routes run."""
        ...

    def stop(self, route: str) -> None:
        """Capture by a route no more; its slot stays."""
        ...

    def forget(self, route: str) -> None:
        """Forget where a route had stopped: its slot is gone, and it begins anew with a snapshot."""
        ...

    def resume(self, routes: list[str] | None) -> None:
        """After a start of the servers: go on with the routes that were captured, and with no other.

        Args:
            routes: Those that were; None where that is not known.
        """
        ...

    def status(self) -> list[ServiceStatus]:
        """How the routes are that are no services of the stack."""
        ...

    def restart_failed(self) -> list[str]:
        """Start again what has failed and does not do so by itself; returns its names."""
        ...


class ByConnect:
    """Kafka Connect: one worker, a connector for each route."""

    def __init__(self, endpoints: Endpoints, settings: Settings, patience_s: float) -> None:
        self._endpoints, self._settings = endpoints, settings
        self._client = ConnectClient(endpoints.connect, patience_s=patience_s)

    def start(self, *routes: str) -> None:
        """Register the connectors of these routes."""
        for route in routes:
            if route == HTTP_ROUTE:
                raise LabError(
                    "Kafka Connect writes to Kafka only: the route 'http' needs Debezium Server",
                    "labkit up --capture server",
                )
            self._client.register(load_config(route, self._endpoints, self._settings))

    def wait(self, *routes: str) -> None:
        """Wait until the connectors of these routes run, all at one time; the route without Kafka has none.

        Raises:
            LabError: One has failed, or they do not in time.
        """
        configs = [load_config(route, self._endpoints, self._settings) for route in routes if route != HTTP_ROUTE]
        self._client.wait_running(*(config.name for config in configs))

    def stop(self, route: str) -> None:
        """Delete the route's connector, and the position it had reached."""
        self._client.delete(load_config(route, self._endpoints, self._settings).name, forget_offsets=True)

    def forget(self, route: str) -> None:
        """Nothing: that was done with the connector."""

    def resume(self, routes: list[str] | None) -> None:
        """Connect itself goes on with what is registered. PostgreSQL may be elsewhere since, or other routes captured.

        Connectors of the talk's configuration, or of a learner's own, are left as they are.
        """
        for route in CAPTURE_ROUTES:
            connector = load_config(route, self._endpoints, self._settings)
            registered = self._client.config(connector.name)
            if registered is None:
                if routes is not None and route in routes:
                    self._client.register(connector)
            elif routes is not None and route not in routes:
                # It was released meanwhile, and its slot dropped: it has failed at its start.
                self._client.delete(connector.name, forget_offsets=True)
            elif any(registered[name] != connector.config[name] for name in ("database.hostname", "database.port")):
                self._client.register(connector)

    def status(self) -> list[ServiceStatus]:
        """How each connector is."""
        return [self._connector(name) for name in self._client.names()]

    def restart_failed(self) -> list[str]:
        """Restart connectors that have failed, or a task of theirs."""
        failed = [service.name for service in self.status() if service.state == "failed"]
        for name in failed:
            self._client.restart(name)
        return failed

    def _connector(self, name: str) -> ServiceStatus:
        status = self._client.status(name)
        parts = [status["connector"], *status["tasks"]] if status else []
        states = {part["state"] for part in parts}
        trace = next((part["trace"].splitlines()[0] for part in parts if "trace" in part), "")
        healthy = len(parts) > 1 and states == {"RUNNING"}
        state = "running" if healthy else "failed" if "FAILED" in states else "starting"
        return ServiceStatus(name=name, state=state, healthy=healthy, note=trace)


class ByServer:
    """Debezium Server: a process for each route, kept by the stack."""

    def __init__(self, endpoints: Endpoints, settings: Settings, stack: Stack) -> None:
        self._endpoints, self._settings, self._stack = endpoints, settings, stack

    def start(self, *routes: str) -> None:
        """Write the configurations of these routes, start their processes and wait until Debezium runs in all.

        Raises:
            LabError: An option is unknown, or one does not run in time.
        """
        for route in routes:
            self._launch(route)
        self.wait(*routes)

    def wait(self, *routes: str) -> None:
        """Wait until Debezium runs in the processes of these routes.

        Raises:
            LabError: In one it does not in time.
        """
        deadline = time.monotonic() + self._settings.start_timeout_s
        for name in map(_service, self._possible(routes)):
            while problem := health.server_check(name, self._endpoints):
                if time.monotonic() > deadline:
                    last = self._stack.log(name, 1)
                    raise LabError(
                        f"{name} does not capture after {self._settings.start_timeout_s} s: {problem} {last}",
                        f"labkit logs {name}",
                    )
                time.sleep(0.1)

    def _possible(self, routes: Iterable[str]) -> list[str]:
        return [route for route in routes if not (route == HTTP_ROUTE and self._in_containers)]

    @property
    def _in_containers(self) -> bool:
        return self._endpoints.stack == "compose"

    def _launch(self, route: str) -> None:
        if route == HTTP_ROUTE and self._in_containers:
            raise LabError(
                "the route 'http' posts to a scorer on this machine, which Debezium Server in a container does not see",
                "labkit up --stack embedded --capture server",
            )
        name = _service(route)
        properties = self._properties(route)
        if route == HTTP_ROUTE:
            table = PredictionTable(self._endpoints)
            table.setup()
            table.close()
            self._stack.start_service(HTTP_SCORER)
        folder = debezium_server.folder(self._settings, PLACES.get(route, route))
        if write_properties(folder / debezium_server.PROPERTIES, properties, secret=not self._in_containers):
            self._stack.stop_service(name)
        self._stack.start_service(name)

    def _properties(self, route: str) -> dict[str, str]:
        connector, ports = load_config(route, self._endpoints, self._settings), self._endpoints.server_ports
        if self._in_containers:
            kafka = self._endpoints.source_kafka
            return kafka_properties(without_password(connector), kafka, *debezium_server.IN_A_CONTAINER)
        port = ports[_service(route)]
        if route != HTTP_ROUTE:
            return kafka_properties(connector, self._endpoints.kafka, port, LOOPBACK)
        url = f"http://{LOOPBACK}:{ports[HTTP_SCORER]}{CHANGES_PATH}"
        return http_properties(connector, url, webhook_secret(self._settings), port, LOOPBACK)

    def stop(self, route: str) -> None:
        """Stop the route's process."""
        for name in map(_service, self._possible([route])):
            self._stack.stop_service(name)
            if route == HTTP_ROUTE:
                self._stack.stop_service(HTTP_SCORER)

    def forget(self, route: str) -> None:
        """Take the route's position back from the topic that Kafka Connect keeps it in, too."""
        try:
            topic_id(self._endpoints.kafka, POSITIONS_TOPIC)
        except MissingTopicError:
            return  # Nobody has captured here yet. A write would make the topic, and not a compacted one.
        connector = load_config(route, self._endpoints, self._settings)
        key = json.dumps([connector.name, {"server": connector.config["topic.prefix"]}], separators=(",", ":"))
        producer = KafkaProducer(bootstrap_servers=self._endpoints.kafka, **CLIENT)
        try:
            producer.send(POSITIONS_TOPIC, key=key.encode(), value=None).get(timeout=15)
        except KafkaError as error:
            raise LabError(f"the position of route {route!r} cannot be forgotten: {error}", "labkit status") from error
        finally:
            producer.close(timeout=1)

    def resume(self, routes: list[str] | None) -> None:
        """Start the processes of the routes that were captured; one that cannot run here waits for where it can."""
        self.start(*self._possible(routes or ()))

    def status(self) -> list[ServiceStatus]:
        """Nothing: each route is a service of the stack."""
        return []

    def restart_failed(self) -> list[str]:
        """Nothing: the stack itself starts its services again."""
        return []


def make_capturing(endpoints: Endpoints, settings: Settings, stack: Stack, patience_s: float) -> Capturing:
    """What runs Debezium in a lab.

    Args:
        endpoints: The lab's.
        settings: The lab's.
        stack: Keeps its servers.
        patience_s: How long Kafka Connect is asked again while it does not answer, seconds.
    """
    if endpoints.capture == "server":
        return ByServer(endpoints, settings, stack)
    return ByConnect(endpoints, settings, patience_s)


def _service(route: str) -> str:
    return debezium_server.service(PLACES.get(route, route))


class Captured:
    """The note of which routes are captured, one a line."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / "captured"

    def routes(self) -> list[str] | None:
        """The captured routes; None in a lab that has no note, since nothing was captured or an older labkit did it."""
        try:
            return self._path.read_text().split()
        except FileNotFoundError:
            return None

    def has(self, route: str) -> bool:
        """Whether a route is noted."""
        return PLACES.get(route, route) in (self.routes() or ())

    def add(self, route: str) -> None:
        """Note that a route is captured."""
        self._change(lambda routes: routes | {PLACES.get(route, route)})

    def remove(self, route: str) -> None:
        """Note that a route is captured no more."""
        self._change(lambda routes: routes - {PLACES.get(route, route)})

    def _change(self, change: Callable[[frozenset[str]], frozenset[str]]) -> None:
        self._path.write_text("".join(f"{name}\n" for name in sorted(change(frozenset(self.routes() or ())))))
