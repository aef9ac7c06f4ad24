"""The same tables to the same topics by Debezium Server, on real servers: alike, switched, killed, and misused."""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import psycopg
import pytest
import requests
from kafka.consumer.fetcher import ConsumerRecord

from labkit import Lab, LabError
from labkit.capturing import ByConnect, webhook_secret
from labkit.digits import load_digits
from labkit.ledger import Ledger
from labkit.model.http_scorer import MAX_BODY, signature
from labkit.model.network import build_network
from labkit.settings import (
    BYTES_PREFIX,
    CSV_PREFIX,
    HTTP_SCORER,
    TEST_TABLE,
    CaptureName,
    Settings,
    table_topic,
)
from labkit.stack import debezium_server
from labkit.stream.events import decode_event
from labkit.stream.reading import read_to_present_end
from tests.conftest import HOME, LOGS

pytestmark = pytest.mark.beside

DIGITS = load_digits("bundled", "test")
EVENTS, CSV = table_topic(BYTES_PREFIX, TEST_TABLE), table_topic(CSV_PREFIX, TEST_TABLE)
OF_THE_PROCESS = ("__debezium.context.runId", "__debezium.context.taskId")
"""Headers that tell which run of Debezium wrote a record."""
PATIENCE_S = 240.0
"""How long a busy machine may take."""


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
        # For the post-mortem of a failed run: the lab takes its logs with it.
        shutil.copytree(lab.settings.home / "logs", LOGS / "server", dirs_exist_ok=True)
        lab_of("server").down(report=lambda _: None)


def switched(capture: CaptureName) -> Lab:
    """The same lab, started with the other one capturing."""
    lab = lab_of(capture).up(lambda _: None)
    lab.wait_until(
        lambda: all(s.healthy or (s.on_demand and s.state == "stopped") for s in lab.status()),
        "all of it runs",
        PATIENCE_S,
    )
    return lab


def settled(lab: Lab) -> Ledger:
    """The ledger once everything has arrived."""
    ledger = lab.ledger(wait_s=PATIENCE_S)
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
    lab.wait_until(lambda: len(records_since(lab, before, CSV)) >= CSV_RECORDS, "the csv route is captured", PATIENCE_S)
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


# A start of servers takes half a minute of a busy machine: what each test leaves capturing, the next goes on with. In
# the first Kafka Connect, Debezium Server, Kafka Connect; then Debezium Server to the end.
def test_the_same_changes_make_the_same_records_and_a_switch_loses_and_repeats_none(by_connect: Lab) -> None:
    first = changes_and_hashes(by_connect)
    by_connect.close()

    lab = switched("server")
    assert [status.name for status in lab.stack.status()] == [
        "postgres",
        "kafka",
        "server-csv",
        "server-bytes",
        "server-http",
        "http-scorer",
        "scorer",
    ]
    with pytest.raises(LabError, match="has no Kafka Connect"):
        _ = lab.connect
    assert settled(lab).balanced
    assert changes_and_hashes(lab) == first
    assert settled(lab).balanced

    # While nobody captures, the log waits.
    for route in ("csv", "bytes"):
        lab.stack.stop_service(debezium_server.service(route))
    rows = [lab.insert(DIGITS.images[n], 1) for n in range(20)]
    lab.close()
    lab = switched("connect")
    assert {"lab-connector", "mnist-connector"} <= {status.name for status in lab.status()}
    ledger = settled(lab)
    assert ledger.balanced and not set(rows) & set(ledger.rows_without_event)
    assert changes_and_hashes(lab) == first
    assert settled(lab).balanced
    lab.close()


@pytest.mark.on_demand
def test_a_released_route_stays_released_after_a_switch_to_debezium_server(by_connect: Lab) -> None:
    lab = switched("connect")
    lab.release("csv")
    assert "debezium" not in lab.tables.slots()
    assert "mnist-connector" not in lab.connect.names()
    lab.close()

    lab = switched("server")
    assert {s.name: s.state for s in lab.status()}["server-csv"] == "stopped"
    snapshot_is_captured(lab)
    assert {s.name: s.healthy for s in lab.status()}["server-csv"]
    lab.release("csv")
    assert {s.name: s.state for s in lab.status()}["server-csv"] == "stopped"
    assert "debezium" not in lab.tables.slots()
    snapshot_is_captured(lab)  # It knows no position from before.
    assert {s.name: s.healthy for s in lab.status()}["server-csv"]
    lab.close()


@pytest.mark.on_demand
def test_a_released_route_stays_released_after_a_switch_to_connect(by_connect: Lab) -> None:
    lab = switched("server")
    lab.release("csv")
    assert "debezium" not in lab.tables.slots()
    assert {s.name: s.state for s in lab.status()}["server-csv"] == "stopped"
    lab.close()

    lab = switched("connect")
    assert "mnist-connector" not in lab.connect.names()
    snapshot_is_captured(lab)
    lab.close()


def snapshot_is_captured(lab: Lab) -> None:
    """Capture the released csv route, and wait for every labelled row."""
    labelled = sum(label is not None for label in lab.tables.labels(TEST_TABLE).values())
    before = ends(lab)[CSV]
    lab.capture("csv")
    lab.wait_until(
        lambda: len(records_since(lab, {CSV: before}, CSV)) == labelled, "the snapshot is captured", PATIENCE_S
    )


def test_a_killed_server_loses_nothing_and_goes_on_by_itself(by_connect: Lab) -> None:
    lab = switched("server")
    balanced = settled(lab)
    assert balanced.balanced
    rows_before = lab.tables.labels(TEST_TABLE).keys()
    lab.start_sending(50)
    name = debezium_server.service("bytes")
    for _ in range(2):
        time.sleep(2.0)
        (pid,) = [status.pid for status in lab.status() if status.name == name]
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert not all(status.healthy for status in lab.status() if status.name == name)
        lab.wait_until(
            lambda: all(status.healthy for status in lab.status() if status.name == name),
            f"{name} runs again",
            PATIENCE_S,
        )
    lab.stop_sending()
    ledger = settled(lab)
    assert ledger.rows > balanced.rows + 100
    # At least once: what was sent and not yet noted is sent again. That is one batch for each kill, which holds all
    # that had come while the server started, and nothing from before.
    again = {fault.row_id for fault in ledger.faults}
    assert ledger.lost == 0 and len(again) < ledger.rows - balanced.rows, ledger
    assert not again & rows_before, ledger
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
    lab.wait_until(lambda: {s.name: s.healthy for s in lab.status()}["server-csv"], "it captures again", PATIENCE_S)
    lab.close()


@pytest.fixture(scope="module")
def posting(by_connect: Lab) -> Iterator[Lab]:
    """The lab with the route without Kafka."""
    lab = switched("server")
    lab.capture("http")
    yield lab
    lab.release("http")
    assert {s.name: s.state for s in lab.status()}[HTTP_SCORER] == "stopped"
    lab.close()


def recorded(lab: Lab, first: int) -> list[tuple[int, str, int | None, bool]]:
    """Row, operation, label and whether there is a prediction: what stands in the table, from a row on."""
    columns = "row_id, operation, label, predicted IS NOT NULL"
    query = f"SELECT {columns} FROM predictions WHERE row_id >= %s ORDER BY lsn, row_id"
    with psycopg.connect(lab.endpoints.postgres) as connection:
        return connection.execute(query, [first]).fetchall()


def test_changes_are_scored_without_kafka_in_their_order(posting: Lab) -> None:
    lab = posting
    row_id = lab.insert(DIGITS.images[0], None)
    lab.relabel(row_id, 3)
    lab.delete(row_id)
    lab.wait_until(lambda: len(recorded(lab, row_id)) == 3, "three changes are scored", PATIENCE_S)
    assert recorded(lab, row_id) == [(row_id, "c", None, True), (row_id, "u", 3, True), (row_id, "d", None, False)]


def test_whatever_is_killed_each_change_is_recorded_once(posting: Lab) -> None:
    lab = posting
    name = debezium_server.service("http")
    first = lab.insert(DIGITS.images[0], 0)
    lab.start_sending(50)
    for service in (name, HTTP_SCORER, name):
        time.sleep(2.0)
        (pid,) = [status.pid for status in lab.status() if status.name == service]
        assert pid
        os.kill(pid, signal.SIGKILL)
        time.sleep(2.0)
    lab.stop_sending()
    # And what is written while nobody reads is found in the log, though no position is stored but the slot's.
    lab.stack.stop_service(name)
    last = [lab.insert(DIGITS.images[n], 1) for n in range(10)][-1]
    lab.stack.start_service(name)
    lab.wait_until(
        lambda: any(row == last for row, *_ in recorded(lab, first)), "the last change is scored", PATIENCE_S
    )
    with psycopg.connect(lab.endpoints.postgres) as connection:
        query = "SELECT id FROM mnist_test WHERE id >= %s ORDER BY id"
        rows = [row for (row,) in connection.execute(query, [first])]
    assert len(rows) > 300
    assert sorted(row for row, *_ in recorded(lab, first)) == rows


CHANGE: Mapping[str, Any] = {
    "id": 10**9,
    "label": 1,
    "pixels": base64.b64encode(bytes(784)).decode(),
    "__op": "c",
    "__source_lsn": 1,
    "__source_ts_us": 1,
}


def post(lab: Lab, body: bytes, **changed: str) -> requests.Response:
    """Post to the scorer as Debezium Server does, signed, but for some headers."""
    timestamp = str(int(time.time()))
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(webhook_secret(lab.settings), "msg_1", timestamp, body),
    }
    address = f"http://127.0.0.1:{lab.endpoints.server_ports[HTTP_SCORER]}/changes"
    with requests.Session() as session:
        session.trust_env = False
        return session.post(address, data=body, headers=headers | changed, timeout=30)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"{}", "an array of changes is wanted, not dict"),
        (b"[1]", "a int has no fields"),
        (b"[{}]", "field '__op' is missing"),
        (json.dumps([{**CHANGE, "__op": "x"}]).encode(), "unknown operation 'x'"),
        (json.dumps([{**CHANGE, "label": 10}]).encode(), "label 10 is no digit"),
        (json.dumps([{**CHANGE, "label": True}]).encode(), "label True is no digit"),
        (json.dumps([{**CHANGE, "id": "1"}]).encode(), "whole numbers"),
        (json.dumps([{**CHANGE, "id": 2**40}]).encode(), "id 1099511627776"),
        (json.dumps([{**CHANGE, "pixels": "AAAA"}]).encode(), "3 bytes are no 784 pixels"),
        (json.dumps([{**CHANGE, "pixels": "?"}]).encode(), "change 0 is no digit"),
        (json.dumps([{**CHANGE, "pixels": None}]).encode(), "change 0 is no digit"),
        (json.dumps([CHANGE, {**CHANGE, "id": None}]).encode(), "change 1 is no digit"),
    ],
)
def test_what_is_no_change_is_refused_and_nothing_of_it_recorded(posting: Lab, body: bytes, words: str) -> None:
    answer = post(posting, body)
    assert answer.status_code == 400 and words in answer.text, answer.text
    assert recorded(posting, 10**9) == []


def test_only_what_is_signed_lately_and_of_sane_size_is_taken(posting: Lab) -> None:
    body = json.dumps([CHANGE]).encode()
    for changed in (
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int(time.time()) - 3600)},
        {"webhook-timestamp": "yesterday"},
    ):
        assert post(posting, body, **changed).status_code == 401
    # It hangs up on whoever goes on sending, before its answer is read or in the middle of it.
    with contextlib.suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        assert post(posting, b" " * (MAX_BODY + 1)).status_code in (400, 413)
    assert recorded(posting, 10**9) == []
    assert post(posting, b'[{"ts_ms": 1}]').status_code == 204, "a heartbeat"


def test_connect_cannot_post(by_connect: Lab) -> None:
    with pytest.raises(LabError, match="the route 'http' needs Debezium Server"):
        ByConnect(by_connect.endpoints, by_connect.settings, patience_s=10.0).start("http")
