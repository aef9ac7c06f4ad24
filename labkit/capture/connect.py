"""Kafka Connect's REST interface: register a connector, see how it is, remove it."""

import difflib
import time
from collections.abc import Mapping
from typing import Any

import requests

from labkit.capture.configs import ConnectorConfig
from labkit.errors import LabError

# Names that Kafka Connect understands by their beginning and so cannot list.
OPEN_PREFIXES = ("driver.", "producer.override.", "admin.override.", "topic.creation.", "custom.metric.tags")

SETTLE_S = 8.0


def with_decoding_plugin(connector: ConnectorConfig) -> ConnectorConfig:
    """Name PostgreSQL's own decoding plugin where a configuration names none.

    Debezium's default is ``decoderbufs``, which Debezium's own PostgreSQL image has compiled in and a plain PostgreSQL
    has not. The talk's configuration leaves the choice to the default, so without this it would fail here.
    """
    if "PostgresConnector" in connector.config.get("connector.class", "") and "plugin.name" not in connector.config:
        return ConnectorConfig(connector.name, connector.config | {"plugin.name": "pgoutput"})
    return connector


class ConnectClient:
    """A client of one Connect worker.

    Args:
        url: Base URL of the REST interface.
        patience_s: How long to keep trying while the worker restarts or rebalances, seconds.
    """

    def __init__(self, url: str, patience_s: float = 30.0) -> None:
        self._url = url
        self._patience_s = patience_s

    def register(self, connector: ConnectorConfig) -> None:
        """Check a configuration, put it in place and wait until its task runs. Repeating it changes nothing.

        Raises:
            LabError: An option is unknown or has a bad value, the task failed, or Connect is away.
        """
        connector = with_decoding_plugin(connector)
        self.check(connector)
        self._call("PUT", f"connectors/{connector.name}/config", connector.config)
        self.wait_running(connector.name)

    def check(self, connector: ConnectorConfig) -> None:
        """Validate a configuration without using it.

        Debezium and Connect accept unknown options in silence, so that a typing error would just have no effect: here
        they are refused, with the nearest known name.

        Raises:
            LabError: Names the first option that is unknown or has a bad value.
        """
        kind = connector.config.get("connector.class", "").rpartition(".")[2]
        answer = self._call(
            "PUT", f"connector-plugins/{kind}/config/validate", {"name": connector.name} | connector.config
        )
        values = [entry["value"] for entry in answer["configs"]]
        known = {value["name"] for value in values}
        for option in connector.config:
            if option not in known and not self._is_open(option, connector.config):
                near = difflib.get_close_matches(option, known, n=1)
                raise LabError(
                    f"connector {connector.name}: unknown option {option!r}",
                    f"did you mean {near[0]!r}?"
                    if near
                    else "remove it, or look its name up in Debezium's documentation",
                )
        for value in values:
            if value["errors"]:
                raise LabError(f"connector {connector.name}: {value['name']}: {value['errors'][0]}", "mend that option")

    @staticmethod
    def _is_open(option: str, config: Mapping[str, str]) -> bool:
        # A converter's own options stand under its name, and Connect does not list them.
        converters = tuple(
            f"{name}." for name in ("key.converter", "value.converter", "header.converter") if name in config
        )
        return option.startswith((*OPEN_PREFIXES, *converters))

    def wait_running(self, *names: str) -> None:
        """Wait until some connectors and their tasks run, all at one time.

        A worker that has just joined its group may be given its tasks anew: then what ran first waits again.

        Raises:
            LabError: A task failed (with the first line of its trace), or it took too long.
        """
        started = time.monotonic()
        deadline = started + self._patience_s * len(names)
        while waiting := [name for name in names if not self._runs(name, time.monotonic() - started)]:
            if time.monotonic() > deadline:
                passed = time.monotonic() - started
                raise LabError(f"connector {waiting[0]} does not run after {passed:.0f} s", "labkit logs connect")
            time.sleep(0.1)

    def _runs(self, name: str, waited_s: float) -> bool:
        status = self.status(name)
        parts = [status["connector"], *status["tasks"]] if status else []
        for part in parts:
            # For a moment after a change, Connect still tells how the old configuration fared.
            if part["state"] == "FAILED" and waited_s > SETTLE_S:
                trace = part.get("trace", "").splitlines()
                cause = next((line for line in trace if line.startswith("Caused by")), trace[0] if trace else "")
                raise LabError(f"connector {name} failed: {cause}", "labkit logs connect")
        return len(parts) > 1 and all(part["state"] == "RUNNING" for part in parts)

    def status(self, name: str) -> dict[str, Any] | None:
        """What Connect says of a connector; None if there is none of that name."""
        return self._call("GET", f"connectors/{name}/status", missing_is_none=True)

    def config(self, name: str) -> dict[str, str] | None:
        """The registered configuration of a connector; None if there is none of that name."""
        return self._call("GET", f"connectors/{name}/config", missing_is_none=True)

    def names(self) -> list[str]:
        """Names of the registered connectors."""
        return self._call("GET", "connectors")

    def delete(self, name: str, *, forget_offsets: bool = False) -> None:
        """Remove a connector. Its replication slot stays, until `DigitTables.drop_slot`.

        Args:
            name: The connector; where there is none, nothing happens.
            forget_offsets: Remove the position it had reached, too. Otherwise Connect keeps it, and a later connector
                of the same name goes on there, without a snapshot.
        """
        if forget_offsets and self.status(name) is not None:
            # Only a stopped connector lets go of its offsets; Connect says 500 until its tasks have ended.
            self._call("PUT", f"connectors/{name}/stop")
            self._call("DELETE", f"connectors/{name}/offsets")
        self._call("DELETE", f"connectors/{name}", missing_is_none=True)

    def restart(self, name: str) -> None:
        """Restart a connector and its failed tasks."""
        self._call("POST", f"connectors/{name}/restart?includeTasks=true&onlyFailed=true")

    def _call(self, method: str, path: str, body: Any = None, *, missing_is_none: bool = False) -> Any:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                with requests.Session() as session:
                    # The worker is on this machine: no proxy that the environment names can reach it.
                    session.trust_env = False
                    answer = session.request(method, f"{self._url}/{path}", json=body, timeout=90)
            except requests.RequestException as error:
                problem: str = f"Kafka Connect does not answer at {self._url}: {type(error).__name__}"
            else:
                if missing_is_none and answer.status_code == requests.codes.not_found:
                    return None
                if answer.ok:
                    return answer.json() if answer.content else None
                problem = f"Kafka Connect: {_message(answer)}"
                # 409: the worker is rebalancing; 404 right after a PUT: not yet seen by the worker; 5xx: starting.
                if answer.status_code not in (404, 409) and answer.status_code < 500:
                    raise LabError(problem, "labkit logs connect")
            if time.monotonic() > deadline:
                raise LabError(problem, "labkit status")
            time.sleep(0.2)


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"]).splitlines()[0]
    except (ValueError, KeyError, TypeError, IndexError):
        return f"HTTP {answer.status_code}"
