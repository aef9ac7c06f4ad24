"""A long trickle of rows leaves memory, disk and write-ahead log as they are, but for the rows' own records."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from labkit import Lab
from labkit.digits import load_digits
from labkit.model.network import build_network
from labkit.settings import TEST_TABLE
from labkit.stack import postgres
from tests.accounts import balanced
from tests.labs import all_scored, lab_of_its_own

HOURS = 8
ROWS_AN_HOUR = 3600
"""One a second, which is inserted, and deleted again after `KEPT` others."""
KEPT = 100
RATE = 150.0
"""How many a second here: eight hours in five minutes or so."""
INTERNAL = ("__transaction_state", "__consumer_offsets", "connect-offsets")
SHRUNK = {
    "segment.bytes": "1048576",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "1000",
    "file.delete.delay.ms": "1000",
}
"""So that what is compacted after days is so here within minutes. Kafka takes no smaller segments."""
HEARTBEATS = "__debezium-heartbeat.lab"
MIB = 2**20
GROWTH = 1.25
SLACK_MIB = 24
MOST_LAG_MIB = 8


def shrink(lab: Lab) -> None:
    """Let the servers tidy up after little."""
    admin = KafkaAdminClient(bootstrap_servers=lab.kafka)
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, SHRUNK) for name in INTERNAL]
    resources.append(
        ConfigResource(ConfigResourceType.TOPIC, HEARTBEATS, {"retention.ms": "20000", "segment.bytes": "1048576"})
    )
    admin.alter_configs(resources)
    admin.close()
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_wal_size = '64MB'")
        connection.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
        connection.execute("ALTER SYSTEM SET wal_recycle = off")
        connection.execute("SELECT pg_reload_conf()")


def trickle(lab: Lab) -> Iterator[int]:
    """Insert and delete rows one by one; tells of each hour that is over."""
    images = load_digits("bundled", "test").images
    rows: list[int] = []
    began = time.monotonic()
    for number in range(HOURS * ROWS_AN_HOUR):
        rows.append(lab.insert(images[number % len(images)], number % 10))
        if len(rows) > KEPT:
            lab.delete(rows.pop(0))
        time.sleep(max(0.0, began + (number + 1) / RATE - time.monotonic()))
        if (number + 1) % ROWS_AN_HOUR == 0:
            yield (number + 1) // ROWS_AN_HOUR


def size_mib(*folders: Path) -> float:
    """What folders take on the disk, where Kafka's indexes have holes; a file may go away meanwhile."""
    total = 0
    for folder in folders:
        for file in folder.rglob("*"):
            try:
                total += 512 * file.stat().st_blocks
            except FileNotFoundError:
                continue
    return total / MIB


def kept(lab: Lab) -> Mapping[str, float]:
    """What a lab keeps, MiB: memory by process, the servers' own topics, the write-ahead log, what a slot holds."""
    data = lab.settings.home / "kafka" / "data"
    own = [folder for name in (*INTERNAL, HEARTBEATS) for folder in data.glob(f"{name}-*")]
    memory = {f"memory of {status.name}": status.rss_mib for status in lab.stack.status() if status.pid}
    return memory | {
        "Kafka's own topics": size_mib(*own),
        "write-ahead log": size_mib(postgres.place(lab.settings).data / "pg_wal"),
        "behind the slot": (lab.tables.slot_lag("lab") or 0) / MIB,
    }


@pytest.mark.on_demand
@pytest.mark.timeout(1800)
def test_eight_hours_of_a_trickle_leave_all_as_it_is() -> None:
    with lab_of_its_own("trickle") as lab:
        lab.capture("bytes")
        lab.publish(build_network(seed=1))
        lab.tables.copy(load_digits("bundled", "test").take(500), TEST_TABLE)
        all_scored(lab)
        shrink(lab)
        hours: list[Mapping[str, float]] = []
        for hour in trickle(lab):
            hours.append(kept(lab))
            print(f"hour {hour}: " + ", ".join(f"{name} {mib:.1f}" for name, mib in hours[-1].items()), flush=True)
        assert balanced(lab).events >= 500 + 2 * HOURS * ROWS_AN_HOUR - KEPT
        half = HOURS // 2
        for name in hours[0]:
            before, after = (max(hour[name] for hour in part) for part in (hours[:half], hours[half:]))
            assert after <= GROWTH * before + SLACK_MIB, f"{name}: {before:.1f} MiB after four hours, then {after:.1f}"
        assert max(hour["behind the slot"] for hour in hours) < MOST_LAG_MIB
