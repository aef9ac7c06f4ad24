"""Whether a server answers, asked the way its clients ask."""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import requests
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from labkit.settings import Endpoints

QUICK: Mapping[str, Any] = {"request_timeout_ms": 3000, "bootstrap_timeout_ms": 2000}
CONNECT_PATIENCE_S = 15.0
"""Connect itself waits ten seconds for its worker before it says that this is not ready."""


def checks(endpoints: Endpoints) -> Mapping[str, Callable[[], str]]:
    """A check for each server: it returns what is wrong, or an empty string."""
    return {
        "postgres": lambda: _postgres(endpoints),
        "kafka": lambda: _kafka(endpoints),
        "connect": lambda: _connect(endpoints),
    }


def address(name: str, endpoints: Endpoints) -> str:
    """Where a server answers; empty for one that does not listen."""
    ports = {
        "postgres": endpoints.postgres_port,
        "kafka": endpoints.kafka_port,
        "connect": endpoints.connect_port,
    }
    return f"{endpoints.host}:{ports[name]}" if name in ports else ""


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
        with requests.Session() as session:
            # The worker is on this machine: no proxy that the environment names can reach it.
            session.trust_env = False
            answer = session.get(f"{endpoints.connect}/health", timeout=CONNECT_PATIENCE_S)
    except requests.RequestException as error:
        return f"no answer: {type(error).__name__}"
    if answer.ok:
        return ""
    # A worker that still starts, or is stuck at it, says what it is waiting for.
    is_json = answer.headers.get("Content-Type") == "application/json"
    return str(answer.json()["message"]) if is_json else f"HTTP {answer.status_code}"
