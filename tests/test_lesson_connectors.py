"""Lesson 3: each check refuses a plausible wrong answer in a helpful word, and accepts another right one."""

import json
from collections.abc import Iterator

import psycopg
import pytest
import requests

from labkit import Lab
from labkit.course import Workbench
from labkit.course import connectors as check
from labkit.course.own_connector import own_connector
from labkit.stream.reading import read_to_present_end, wait_for_records


@pytest.fixture(scope="module")
def bench(lab: Lab) -> Iterator[Workbench]:
    """A workbench with a captured table of two rows, one of them with a large story that was not changed."""
    bench = Workbench(lab, "connecttest")
    bench.clear()
    table = bench.name("pets")
    execute(lab, f"CREATE TABLE {table} (id int PRIMARY KEY, legs int, story text)")
    execute(lab, f"ALTER TABLE {table} ALTER story SET STORAGE EXTERNAL")
    execute(lab, f"INSERT INTO {table} VALUES (1, 4, 'short'), (2, 2, repeat('long', 2000))")
    lab.connect.register(own_connector(lab, bench, table))
    wait_for_records(lab.kafka, topic(bench), 2)
    for _ in range(3):
        execute(lab, f"UPDATE {table} SET legs = legs + 1 WHERE id = 2")
    wait_for_records(lab.kafka, topic(bench), 5)
    yield bench
    bench.clear()


def topic(bench: Workbench) -> str:
    """The topic of the captured table."""
    return f"{bench.name()}.public.{bench.name('pets')}"


def execute(lab: Lab, statement: str) -> None:
    """Run SQL in a transaction of its own."""
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute(statement)  # pyright: ignore


def test_snapshot_records_are_those_that_were_read(lab: Lab, bench: Workbench) -> None:
    streamed = check.snapshot_records(3, lab, topic(bench))
    assert streamed.kind == "wrong" and "streaming" in streamed.words
    assert "all of them" in check.snapshot_records(5, lab, topic(bench)).words
    assert "whole number" in check.snapshot_records(2.0, lab, topic(bench)).words
    values = [json.loads(record.value) for record in read_to_present_end(lab.kafka, topic(bench)) if record.value]
    assert check.snapshot_records(sum(v["source"]["snapshot"] != "false" for v in values), lab, topic(bench)).right


def test_the_unavailable_column(lab: Lab, bench: Workbench) -> None:
    known = check.unavailable_columns("legs", lab, topic(bench), 2)
    assert known.kind == "wrong" and "placeholder" in known.words
    unknown = check.unavailable_columns("tale", lab, topic(bench), 2)
    assert unknown.kind == "wrong" and "it has id, legs, story" in unknown.words
    assert "no update of row 1" in check.unavailable_columns("story", lab, topic(bench), 1).words
    assert "is text" in check.unavailable_columns(["story"], lab, topic(bench), 2).words
    (longest,) = {"id", "legs", "story"} - {"id", "legs"}
    assert check.unavailable_columns(longest, lab, topic(bench), 2).right


def test_flat_rows_that_tell_the_operation(lab: Lab, bench: Workbench) -> None:
    connector = own_connector(lab, bench, bench.name("pets"))

    def put(extra: dict[str, str]) -> dict[str, str]:
        """As a learner puts it: by REST alone, which takes options that no transform has."""
        config = connector.config | extra
        url = f"{lab.endpoints.connect}/connectors/{connector.name}/config"
        with requests.Session() as session:
            session.trust_env = False
            session.put(url, json=config, timeout=30).raise_for_status()
        lab.connect.wait_running(connector.name)
        return config

    assert "dict of options" in check.flat_with_operation("unwrap", lab, connector.name).words
    assert "no connector" in check.flat_with_operation({}, lab, "nobody").words
    envelope = check.flat_with_operation(put({}), lab, connector.name)
    assert envelope.kind == "wrong" and "ExtractNewRecordState yet" in envelope.words
    kind = "io.debezium.transforms.ExtractNewRecordState"
    silent = check.flat_with_operation(
        put({"transforms": "t", "transforms.t.type": kind, "transforms.t.add.fields": "lsn"}), lab, connector.name
    )
    assert silent.kind == "wrong" and "add.fields" in silent.words
    unnamed = check.flat_with_operation(
        put({"transforms.unwrap.type": kind, "transforms.unwrap.add.fields": "op"}), lab, connector.name
    )
    assert unnamed.kind == "wrong" and "the option transforms does not name it" in unnamed.words
    elsewhere = check.flat_with_operation(
        put({"transforms": "unwrap", "transforms.unwrap.type": kind, "transforms.flat.add.fields": "op"}),
        lab,
        connector.name,
    )
    assert elsewhere.kind == "wrong" and "add.fields of 'unwrap'" in elsewhere.words
    header = {"transforms": "flat", "transforms.flat.type": kind, "transforms.flat.add.headers": "lsn, op:what"}
    assert check.flat_with_operation(put(header), lab, connector.name).right, "a header tells it as well"


def test_kept_wal_is_told_in_mib(lab: Lab, bench: Workbench) -> None:
    slot = bench.name("idle")
    assert "no slot" in check.kept_mib(1.0, lab, slot).words
    execute(lab, f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    execute(lab, "SELECT pg_logical_emit_message(false, 'course', repeat('x', 30 * 1024 * 1024))")
    with psycopg.connect(lab.endpoints.postgres) as connection:
        query = "SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = %s"
        row = connection.execute(query, [slot]).fetchone()
    assert row is not None
    in_bytes = float(row[0])
    assert in_bytes > 25 * 2**20
    wrong_unit = check.kept_mib(in_bytes, lab, slot)
    assert wrong_unit.kind == "wrong" and "bytes" in wrong_unit.words
    assert check.kept_mib(1, lab, slot).kind == "wrong"
    assert "is a number" in check.kept_mib("30 MiB", lab, slot).words
    assert check.kept_mib(in_bytes / 2**20, lab, slot).right
