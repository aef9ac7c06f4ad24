"""Lesson 2: each check refuses a plausible wrong answer in a helpful word, and accepts another right one."""

import json
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from kafka import KafkaProducer

from labkit import Lab
from labkit.course import Workbench
from labkit.course import why_cdc as check
from labkit.course.own_connector import own_connector
from labkit.stream.reading import read_to_present_end, wait_for_records
from labkit.stream.topics import CLIENT


@pytest.fixture
def bench(lab: Lab) -> Iterator[Workbench]:
    """A workbench that is empty before and after."""
    bench = Workbench(lab, "cdctest")
    bench.clear()
    yield bench
    bench.clear()


def execute(lab: Lab, statement: str) -> None:
    """Run SQL in a transaction of its own."""
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute(statement)  # pyright: ignore


def test_lost_rows_are_told_by_their_ids(lab: Lab, bench: Workbench) -> None:
    table = bench.name("rows")
    execute(lab, f"CREATE TABLE {table} (id int); INSERT INTO {table} SELECT generate_series(1, 10)")
    producer = KafkaProducer(bootstrap_servers=lab.kafka, **CLIENT)
    for key in (1, 2, 3, 4, 5, 99):  # 99 was told and never committed: it makes up for no lost row.
        producer.send(table, key=str(key).encode()).get(10)
    producer.close()
    sizes = check.lost_rows(10 - 6, lab, table, table)
    assert sizes.kind == "wrong" and "Compare the ids" in sizes.words
    assert check.lost_rows(7, lab, table, table).kind == "wrong"
    assert "whole number" in check.lost_rows({6, 7, 8, 9, 10}, lab, table, table).words
    keys = [int(record.key) for record in read_to_present_end(lab.kafka, table)]
    assert check.lost_rows(np.setdiff1d(np.arange(1, 11), keys).size, lab, table, table).right


def test_sequential_scans_are_postgresqls_own(lab: Lab, bench: Workbench) -> None:
    table = bench.name("scanned")
    missing = check.sequential_scans(1, lab, table)
    assert missing.kind == "wrong" and "no statistics" in missing.words
    execute(lab, f"CREATE TABLE {table} (id int PRIMARY KEY); INSERT INTO {table} SELECT generate_series(1, 500)")
    for _ in range(3):
        execute(lab, f"SELECT count(*) FROM {table}")
    by_index = f"SET enable_seqscan = off; SELECT * FROM {table} WHERE id = 7; SELECT * FROM {table} WHERE id = 8"
    for _ in range(4):
        execute(lab, by_index)
    with psycopg.connect(lab.endpoints.postgres) as connection:
        query = "SELECT pg_stat_get_numscans(%s::regclass), pg_stat_get_tuples_returned(%s::regclass)"
        row = connection.execute(query, [table, table]).fetchone()
        (indexed,) = connection.execute(
            "SELECT sum(idx_scan)::int FROM pg_stat_user_indexes WHERE relname = %s", [table]
        ).fetchone() or (0,)
    assert row is not None
    scans, tuples = row
    assert scans >= 3 and indexed == 8
    assert check.sequential_scans(scans, lab, table).right, "counted by another view of PostgreSQL"
    assert "seq_tup_read" in check.sequential_scans(tuples, lab, table).words
    assert "by index" in check.sequential_scans(indexed, lab, table).words
    assert check.sequential_scans(scans + 1, lab, table).kind == "wrong"


def test_captured_deletes_are_not_their_tombstones(lab: Lab, bench: Workbench) -> None:
    table = bench.name("pets")
    topic = f"{bench.name()}.public.{table}"
    execute(lab, f"CREATE TABLE {table} (id int PRIMARY KEY); INSERT INTO {table} SELECT generate_series(1, 6)")
    lab.connect.register(own_connector(lab, bench, table))
    wait_for_records(lab.kafka, topic, 6)
    execute(lab, f"DELETE FROM {table} WHERE id <= 4")
    wait_for_records(lab.kafka, topic, 6 + 4 + 4)
    with_tombstones = check.captured_deletes(8, lab, topic)
    assert with_tombstones.kind == "wrong" and "tombstone" in with_tombstones.words
    assert check.captured_deletes(5, lab, topic).kind == "wrong"
    records = list(read_to_present_end(lab.kafka, topic))
    assert check.captured_deletes(sum(record.value is None for record in records), lab, topic).right
    assert {json.loads(record.value)["op"] for record in records if record.value} == {"r", "d"}
