"""The same tables to the same topics by Debezium Server, on real servers: alike, switched, killed, and misused."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import psycopg
import pytest
from kafka.consumer.fetcher import ConsumerRecord

from labkit import Lab, LabError
from labkit.digits import load_digits
from labkit.ledger import Ledger
from labkit.model.network import build_network
from labkit.settings import BYTES_PREFIX, CSV_PREFIX, TEST_TABLE, CaptureName, Settings, table_topic
from labkit.stack import debezium_server
from labkit.stream.events import decode_event
from labkit.stream.reading import read_to_present_end
from tests.conftest import HOME

DIGITS = load_digits("bundled", "test")
EVENTS, CSV = table_topic(BYTES_PREFIX, TEST_TABLE), table_topic(CSV_PREFIX, TEST_TABLE)
OF_THE_PROCESS = ("__debezium.context.runId", "__debezium.context.taskId")
"""Headers that tell which run of Debezium wrote a record."""


def lab_of(capture: CaptureName) -> Lab:
    """The lab of this module, apart from the other tests', with one of the two capturing."""
    return Lab(Settings(home=HOME.with_name(f"{HOME.name}-server"), capture=capture))


@pytest.fixture(scope="module")
def by_connect() -> Iterator[Lab]:
    """A lab that captures and scores by Kafka Connect, for the first test; the others switch it."""
    lab = lab_of("connect")
    lab.down(report=lambda _: None)
    lab.up()
    try:
        lab.tables.copy(DIGITS.take(100), TEST_TABLE)
        lab.capture()
        lab.publish(build_network())
        settled(lab)
        yield lab
    finally:
        lab_of("server").down(report=lambda _: None)


def switched(capture: CaptureName) -> Lab:
    """The same lab, started with the other one capturing."""
    lab = lab_of(capture).up(lambda _: None)
    assert all(status.healthy for status in lab.status() if status.name != "scorer"), lab.status()
    return lab


def settled(lab: Lab) -> Ledger:
    """The ledger once everything has arrived."""
    ledger = lab.ledger(wait_s=120)
    assert ledger.lost == 0, ledger
    return ledger


def make_changes(lab: Lab) -> int:
    """Inserts with and without label, corrections, deletes, and a transaction of 200; returns the id before the first.

    The same each time but for the ids, which go on.
    """
    ids = [lab.insert(DIGITS.images[n], None if n % 5 == 0 else n % 10) for n in range(40)]
    for row_id in ids[::3]:
        lab.relabel(row_id, 7)
    lab.relabel(ids[1], None)
    for row_id in ids[::4]:
        lab.delete(row_id)
    with psycopg.connect(lab.endpoints.postgres) as connection:
        for n in range(200):
            pixels = np.full(784, n % 256, np.uint8).tobytes()
            connection.execute("INSERT INTO mnist_test (label, pixels) VALUES (%s, %s)", [n % 10, pixels])
        connection.execute("DELETE FROM mnist_test WHERE id > %s AND id %% 2 = 0", [ids[-1]])
    return ids[0] - 1


def records_since(lab: Lab, before: Mapping[str, int], topic: str) -> list[ConsumerRecord]:
    """What a topic holds behind an offset."""
    return [record for record in read_to_present_end(lab.kafka, topic) if record.offset >= before[topic]]


def ends(lab: Lab) -> dict[str, int]:
    """The offset behind the last record of each topic."""
    return {
        topic: 1 + max((record.offset for record in read_to_present_end(lab.kafka, topic)), default=-1)
        for topic in (EVENTS, CSV)
    }


def digest(parts: list[tuple[Any, ...]]) -> str:
    """A hash of things, whatever their order."""
    return hashlib.sha256("\n".join(sorted(map(repr, parts))).encode()).hexdigest()


def changes_and_hashes(lab: Lab) -> tuple[str, str, set[frozenset[str]]]:
    """Make the changes; hash the events and the CSV records, with ids counted from the first; and tell the headers."""
    before = ends(lab)
    first = make_changes(lab)
    settled(lab)
    # Both routes have captured the last insert, so all before it.
    lab.wait_until(lambda: len(records_since(lab, before, CSV)) >= CSV_RECORDS, "the csv route is captured", 60)
    time.sleep(1.0)
    records = records_since(lab, before, EVENTS)
    events = [decode_event(record) for record in records]
    rows = [(e.row_id - first, e.operation, e.before_label, e.label, e.pixels) for e in events]
    names = {
        frozenset(name for name, value in record.headers if value is not None and name not in OF_THE_PROCESS)
        for record in records
    }
    csv: list[tuple[Any, ...]] = []
    for record in records_since(lab, before, CSV):
        headers: dict[str, bytes] = dict(record.headers)
        csv.append((record.key, record.value, int(headers["__id"]) - first))
    assert len(events) == EVENT_RECORDS and len(csv) == CSV_RECORDS
    return digest(rows), digest(csv), names


# 40 inserts, 14 corrections, 1 label taken away, 10 deletes; 200 inserts and 100 deletes in one transaction. The csv
# route has neither the deletes nor the rows without a label: 8 inserts and one update.
EVENT_RECORDS = 40 + 14 + 1 + 10 + 300
CSV_RECORDS = 32 + 14 + 200


def test_the_same_changes_make_the_same_records_and_a_switch_loses_and_repeats_none(by_connect: Lab) -> None:
    first = changes_and_hashes(by_connect)
    by_connect.close()

    lab = switched("server")
    assert [status.name for status in lab.stack.status()] == [
        "postgres",
        "kafka",
        "server-csv",
        "server-bytes",
        "scorer",
    ]
    with pytest.raises(LabError, match="has no Kafka Connect"):
        _ = lab.connect
    assert settled(lab).balanced
    assert changes_and_hashes(lab) == first
    assert settled(lab).balanced
    lab.close()

    # While nobody captures, the log waits.
    lab = switched("connect")
    assert {"lab-connector", "mnist-connector"} <= {status.name for status in lab.status()}
    assert changes_and_hashes(lab) == first
    assert settled(lab).balanced
    lab.close()


def test_changes_made_while_neither_captures_are_captured_by_the_next(by_connect: Lab) -> None:
    lab = switched("server")
    for route in ("csv", "bytes"):
        lab.stack.stop_service(debezium_server.service(route))
    rows = [lab.insert(DIGITS.images[n], 1) for n in range(20)]
    lab.close()
    lab = switched("connect")
    ledger = settled(lab)
    assert ledger.balanced and not set(rows) & set(ledger.rows_without_event)
    lab.close()


def test_a_killed_server_loses_nothing_and_goes_on_by_itself(by_connect: Lab) -> None:
    lab = switched("server")
    balanced = settled(lab)
    assert balanced.balanced
    lab.start_sending(50)
    name = debezium_server.service("bytes")
    for _ in range(3):
        time.sleep(3.0)
        (pid,) = [status.pid for status in lab.status() if status.name == name]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert not all(status.healthy for status in lab.status() if status.name == name)
        lab.wait_until(
            lambda: all(status.healthy for status in lab.status() if status.name == name), f"{name} runs again", 90
        )
    lab.stop_sending()
    ledger = settled(lab)
    assert ledger.rows > balanced.rows + 100
    # At least once: what was sent and not yet noted is sent again, and that is one batch for each kill.
    assert ledger.duplicated <= 3 * 50, ledger
    lab.close()


def test_a_released_route_stays_released_whoever_captures(by_connect: Lab) -> None:
    lab = switched("server")
    lab.release("csv")
    assert "debezium" not in lab.tables.slots()
    assert {s.name: s.state for s in lab.status()}["server-csv"] == "stopped"
    lab.close()

    lab = switched("connect")
    assert "mnist-connector" not in lab.connect.names()
    lab.capture("csv")
    lab.close()

    lab = switched("server")
    assert {s.name: s.healthy for s in lab.status()}["server-csv"]
    lab.close()


def test_a_server_that_cannot_capture_is_named_with_its_reason(by_connect: Lab) -> None:
    lab = switched("server")
    impatient = Lab(lab.settings.model_copy(update={"start_timeout_s": 15}))
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute("ALTER ROLE debezium NOLOGIN")
        try:
            impatient.stack.stop_service("server-csv")
            with pytest.raises(LabError, match="server-csv does not capture after 15 s"):
                impatient.capture("csv")
            assert not {s.name: s.healthy for s in lab.status()}["server-csv"]
        finally:
            connection.execute("ALTER ROLE debezium LOGIN")
    lab.wait_until(lambda: {s.name: s.healthy for s in lab.status()}["server-csv"], "it captures again", 90)
    lab.close()
