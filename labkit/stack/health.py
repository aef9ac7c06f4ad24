"""Whether a server answers, asked the way its clients ask."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import requests
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from labkit.errors import LabError
from labkit.settings import LOOPBACK, Endpoints
from labkit.stack.base import Report, ServiceStatus

QUICK: Mapping[str, Any] = {"request_timeout_ms": 3000, "bootstrap_timeout_ms": 2000}
CONNECT_PATIENCE_S = 15.0
"""Connect itself waits ten seconds for its worker before it says that this is not ready."""

SERVER_PATIENCE_S = 5.0


def checks(endpoints: Endpoints) -> Mapping[str, Callable[[], str]]:
    """A check for each server that starts with the lab: it returns what is wrong, or an empty string."""
    always = {"postgres": lambda: _postgres(endpoints), "kafka": lambda: _kafka(endpoints)}
    return always | ({"connect": lambda: _connect(endpoints)} if endpoints.capture == "connect" else {})


def server_check(name: str, endpoints: Endpoints) -> str:
    """What is wrong with a Debezium Server; an empty string where it captures."""
    try:
        answer = _get(f"http://{address(name, endpoints)}/q/health", SERVER_PATIENCE_S)
    except requests.RequestException as error:
        return f"no answer: {type(error).__name__}"
    return "" if answer.ok else "Debezium does not run in it"


def address(name: str, endpoints: Endpoints) -> str:
    """Where a server answers; empty for one that does not listen."""
    addresses = {
        "postgres": f"{endpoints.postgres_host}:{endpoints.postgres_port}",
        "kafka": endpoints.kafka,
        "connect": f"{endpoints.connect_host}:{endpoints.connect_port}",
    }
    addresses |= {server: f"{LOOPBACK}:{port}" for server, port in endpoints.server_ports.items()}
    return addresses.get(name, "")


def look_at(service: ServiceStatus, endpoints: Endpoints) -> ServiceStatus:
    """What is known of a process, and whether it answers as a server, too."""
    check = {**checks(endpoints), **_server_checks(endpoints)}.get(service.name)
    problem = check() if check is not None and service.state == "running" else ""
    return replace(
        service,
        healthy=service.healthy and not problem,
        address=address(service.name, endpoints),
        note=problem or service.note,
    )


def wait(endpoints: Endpoints, timeout_s: float, last_words: Callable[[str, int], str], report: Report) -> None:
    """Wait until every server answers; say which one is being waited for.

    Args:
        endpoints: Where they will answer.
        timeout_s: How long they may take, seconds.
        last_words: Gives the last lines of a server's log.
        report: Told of each that answers.

    Raises:
        LabError: One does not answer in time.
    """
    started = time.monotonic()
    waiting: dict[str, Callable[[], str]] = dict(checks(endpoints))
    if not any(check() for check in waiting.values()):
        report(f"servers: {', '.join(waiting)} answer")
        return
    report(f"servers: waiting for {', '.join(waiting)}")
    while waiting:
        problems = {name: check() for name, check in waiting.items()}
        for name, problem in problems.items():
            if not problem:
                report(f"servers: {name} answers at {address(name, endpoints)} ({time.monotonic() - started:.1f} s)")
                del waiting[name]
        if waiting and time.monotonic() - started > timeout_s:
            name = next(iter(waiting))
            raise LabError(
                f"{name} does not answer after {timeout_s:.0f} s: {problems[name]} {last_words(name, 1)}",
                f"labkit logs {name}",
            )
        time.sleep(0.1)


def _server_checks(endpoints: Endpoints) -> Mapping[str, Callable[[], str]]:
    return {name: partial(server_check, name, endpoints) for name in endpoints.server_ports}


def _get(url: str, timeout_s: float) -> requests.Response:
    with requests.Session() as session:
        # The server is on this machine: no proxy that the environment names can reach it.
        session.trust_env = False
        return session.get(url, timeout=timeout_s)


def _postgres(endpoints: Endpoints) -> str:
    try:
        with psycopg.connect(endpoints.postgres) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1]
    return ""


def _kafka(endpoints: Endpoints) -> str:
    try:
        admin = KafkaAdminClient(bootstrap_servers=endpoints.kafka, **QUICK)
    except (KafkaError, OSError, ValueError) as error:
        return f"no broker: {type(error).__name__}"
    admin.close()
    return ""


def _connect(endpoints: Endpoints) -> str:
    try:
        answer = _get(f"{endpoints.connect}/health", CONNECT_PATIENCE_S)
    except requests.RequestException as error:
        return f"no answer: {type(error).__name__}"
    if answer.ok:
        return ""
    # A worker that still starts, or is stuck at it, says what it is waiting for.
    is_json = answer.headers.get("Content-Type") == "application/json"
    return str(answer.json()["message"]) if is_json else f"HTTP {answer.status_code}"
