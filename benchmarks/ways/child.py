"""The side of a process that the benchmark starts: what it is told, and what it says."""

import json
import os
import sys
import threading
from pathlib import Path

from pydantic import BaseModel

BATCH = 64
"""Rows that the talk's model is evaluated on at once."""


class Where(BaseModel):
    """What such a process needs to know.

    Attributes:
        kafka: Kafka's bootstrap servers.
        postgres: How to connect to PostgreSQL, as libpq's words; empty for who does not.
        models: Folder of the published models.
        portable: The published model in TensorFlow Lite's form, for who has no TensorFlow.
        topic: What it reads; empty for who reads no topic.
        rows: How many rows will come, for who ends with the last.
        debezium: Properties of who runs Debezium itself.
    """

    kafka: str
    models: Path
    postgres: str = ""
    portable: Path | None = None
    topic: str = ""
    rows: int = 0
    debezium: dict[str, str] = {}


def told() -> Where:
    """What the starter says; from then on this process ends with it."""
    where = Where.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    return where


def tell(**values: float) -> None:
    """Say something to the starter."""
    print(json.dumps(values), flush=True)


def _end_with_the_starter() -> None:
    # Whoever started this process holds the other end of its standard input; killed, it closes that.
    while os.read(0, 1):
        pass
    os._exit(1)
