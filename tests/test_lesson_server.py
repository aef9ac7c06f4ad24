"""Lesson 8: what captures is changed in one line, its measures, and each check with wrong and right answers."""

import os
import shutil
import signal
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaProducer

from labkit import Lab, LabError
from labkit.capture import server_config
from labkit.course import Workbench, capture_figures
from labkit.course import connect_or_server as check
from labkit.course.capture_figures import Arrivals, capturing, delays_ms, rows_a_second, start_s
from labkit.database.prediction_table import PredictionTable, RowPrediction
from labkit.settings import BYTES_PREFIX, CSV_PREFIX, HTTP_SCORER, Settings, table_topic
from labkit.stack.choice import remembered
from labkit.stream.reading import read_to_present_end, wait_for_records
from labkit.stream.topics import CLIENT
from tests.conftest import HOME, LOGS

pytestmark = pytest.mark.beside

SERVERS = ["server-csv", "server-bytes"]
PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def own_lab() -> Iterator[Lab]:
    """A lab of this module that captures by Kafka Connect at first; the tests change it in turn."""
    lab = Lab(Settings(home=HOME.with_name(f"{HOME.name}-lesson-server"), capture="connect"))
    lab.down(report=lambda _: None)
    lab.up()
    try:
        lab.capture()
        lab.stop_scorer()  # Nothing here is scored.
        yield lab
    finally:
        # For the post-mortem of a failed run: the lab takes its logs with it.
        shutil.copytree(lab.settings.home / "logs", LOGS / "lesson-server", dirs_exist_ok=True)
        lab.down(report=lambda _: None)


@pytest.fixture(scope="module")
def bench(own_lab: Lab) -> Workbench:
    return Workbench(own_lab, "servertest")


@pytest.fixture(scope="module")
def table(bench: Workbench) -> str:
    """A table that the lab's own routes capture, whoever captures; gone at the last test."""
    return bench.captured_table()


def insert(lab: Lab, table: str, count: int = 1) -> list[int]:
    """Insert rows in one transaction; return their ids."""
    with psycopg.connect(lab.endpoints.postgres) as connection:
        statement = f"INSERT INTO {table} (label, pixels) SELECT 1, %s FROM generate_series(1, %s) RETURNING id"
        return [row_id for (row_id,) in connection.execute(statement, [bytes(784), count])]  # pyright: ignore


def rows_in(lab: Lab, prefix: str, table: str) -> int:
    """Records in a topic of the table's."""
    return len(list(read_to_present_end(lab.kafka, table_topic(prefix, table))))


def test_a_table_of_the_lessons_own_is_captured_by_both_routes_and_in_no_account(
    own_lab: Lab, bench: Workbench, table: str
) -> None:
    lab = own_lab
    assert bench.things() == [
        f"table {table}",
        *(f"topic {table_topic(prefix, table)}" for prefix in (BYTES_PREFIX, CSV_PREFIX)),
    ]
    assert [process.name for process in capturing(lab)] == ["connect"]
    insert(lab, table, 3)
    for prefix in (BYTES_PREFIX, CSV_PREFIX):
        wait_for_records(lab.kafka, table_topic(prefix, table), 3)
    ledger = lab.ledger()
    assert (ledger.rows, ledger.events) == (0, 0)
    assert check.capture_mib(300.0, lab).kind == "unchecked", "there is no Debezium Server yet"


def test_one_line_changes_what_captures_and_waits_until_it_does(own_lab: Lab, bench: Workbench, table: str) -> None:
    lab = own_lab
    with pytest.raises(LabError, match="nothing that captures is called 'Server'"):
        lab.capture_by("Server")  # pyright: ignore[reportArgumentType]
    assert lab.endpoints.capture == "connect", "what cannot be is refused before anything is stopped"

    older = Lab(lab.settings.model_copy(update={"capture": None}))
    assert lab.capture_by("server", report=lambda _: None) is lab
    processes = capturing(lab)
    assert [process.name for process in processes] == SERVERS
    assert all(process.healthy for process in processes)
    choice = remembered(lab.settings)
    assert choice is not None and choice.capture == "server"
    lab.capture_by("server", report=lambda _: None)
    assert [process.pid for process in capturing(lab)] == [process.pid for process in processes], "it changes nothing"
    older.up(report=lambda _: None)
    assert [process.pid for process in capturing(older)] == [process.pid for process in processes], "not both capture"
    older.close()

    insert(lab, table, 2)
    for prefix in (BYTES_PREFIX, CSV_PREFIX):
        wait_for_records(lab.kafka, table_topic(prefix, table), 5)
        assert rows_in(lab, prefix, table) == 5, "it went on where Connect was"


def test_what_captures_is_measured_from_outside(own_lab: Lab, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = own_lab
    before = [process.pid for process in capturing(lab)]
    with Arrivals(lab.kafka, table_topic(BYTES_PREFIX, table)) as arrivals:
        seconds = start_s(lab, arrivals, lambda: insert(lab, table)[0])
        assert 0.5 < seconds < PATIENCE_S, "a Java is not started in no time"
        assert not set(before) & {process.pid for process in capturing(lab)}
        delays = delays_ms(arrivals, lambda: insert(lab, table)[0], 10)
        assert len(delays) == 10 and delays == sorted(delays) and delays[0] > 0
        assert rows_a_second(arrivals, lambda count: insert(lab, table, count), 500) > 0
        assert len(arrivals.seen) == 1 + 10 + 500
        monkeypatch.setattr(capture_figures, "PATIENCE_S", 0.5)
        with pytest.raises(LabError, match="of 2 rows 1 have not come"):
            arrivals.wait([next(iter(arrivals.seen)), 10**9])


def test_what_ends_the_reading_is_told(own_lab: Lab, bench: Workbench) -> None:
    topic = bench.name("keys")
    producer = KafkaProducer(bootstrap_servers=own_lab.kafka, **CLIENT)
    producer.send(topic, b"the topic is made by the first record").get(10)
    with Arrivals(own_lab.kafka, topic) as arrivals:
        producer.send(topic, b"a value", key=b"no row").get(10)
        with pytest.raises(ValueError, match="no row"):
            arrivals.wait([1])
    producer.close()
    admin = KafkaAdminClient(bootstrap_servers=own_lab.kafka, **CLIENT)
    admin.delete_topics([topic])
    admin.close()


def test_the_memory_is_that_of_all_processes_that_capture(own_lab: Lab) -> None:
    lab = own_lab
    sizes = [process.rss_mib for process in capturing(lab)]
    one = check.capture_mib(sizes[1], lab)
    assert one.kind == "wrong" and "a process of its own" in one.words
    everything = check.capture_mib(sum(service.rss_mib for service in lab.stack.status()), lab)
    assert everything.kind == "wrong" and "the whole lab" in everything.words
    assert "a number" in check.capture_mib("300 MiB", lab).words
    in_bytes = check.capture_mib(sum(sizes) * 2**20, lab)
    assert in_bytes.kind == "wrong" and f"{sum(sizes):.0f}" not in in_bytes.words, "the answer is not given away"
    assert check.capture_mib(np.float64(1.04 * sum(sizes)), lab).right, "measured a moment ago"


def test_records_too_many_are_counted(own_lab: Lab, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, topic = own_lab, table_topic(BYTES_PREFIX, table)
    # What it has sent and not noted yet, Debezium Server sends again after a kill. The lab's notes after each batch,
    # which leaves that to chance; here it notes nothing while the test runs, but for the first.
    try:
        with monkeypatch.context() as rarely, Arrivals(lab.kafka, topic) as arrivals:
            rarely.setattr(server_config, "FLUSH_MS", 600_000)
            lab.capture("bytes")
            (victim,) = [process for process in capturing(lab) if process.name == "server-bytes"]
            assert victim.pid
            arrivals.wait(insert(lab, table))
            rows = insert(lab, table, 1000)
            arrivals.wait(rows)
            os.kill(victim.pid, signal.SIGKILL)
            arrivals.wait(insert(lab, table))
    finally:
        lab.capture("bytes")
    keys = [record.key for record in read_to_present_end(lab.kafka, topic)]
    too_many = len(keys) - len(set(keys))
    assert too_many >= len(rows)
    everything = check.records_too_many(len(keys), lab, topic)
    assert everything.kind == "wrong" and "more records than rows" in everything.words
    assert check.records_too_many(len(set(keys)), lab, topic).kind == "wrong"
    twice = check.records_too_many(2 * too_many, lab, topic)
    assert twice.kind == "wrong" and "One of each" in twice.words
    assert "whole number" in check.records_too_many(float(too_many), lab, topic).words
    none = check.records_too_many(0, lab, topic)
    assert none.kind == "wrong" and str(too_many) not in none.words, "the answer is not given away"
    right = check.records_too_many(np.int64(too_many), lab, topic)
    assert right.right and "every row is there" in right.words


def prediction(row_id: int, operation: str, label: int | None, predicted: int | None) -> RowPrediction:
    return RowPrediction(row_id, row_id, operation, label, predicted, "a model", 0.0)


def test_the_share_of_right_predictions_is_of_those_with_a_label(own_lab: Lab) -> None:
    lab = own_lab
    missing = check.accuracy_in_table(0.5, lab)
    assert missing.kind == "unchecked" and "cells in order" in missing.words
    table = PredictionTable(lab.endpoints)
    table.setup()
    try:
        assert "no labelled prediction" in check.accuracy_in_table(0.5, lab).words
        table.record(
            [
                prediction(1, "c", 3, 3),
                prediction(2, "c", 4, 9),
                prediction(3, "c", 5, 5),
                prediction(4, "c", None, 7),
                prediction(5, "d", None, None),
            ]
        )
        unlabelled = check.accuracy_in_table(2 / 4, lab)
        assert unlabelled.kind == "wrong" and "without a label" in unlabelled.words
        assert "Leave them out" in check.accuracy_in_table(2 / 5, lab).words
        assert "percent" in check.accuracy_in_table(200 / 3, lab).words
        assert check.accuracy_in_table(1 / 3, lab).words.startswith("It is another share")
        assert "a number" in check.accuracy_in_table("two thirds", lab).words
        assert check.accuracy_in_table(np.float32(0.6667), lab).right, "rounded"
    finally:
        table.close()
        with psycopg.connect(lab.endpoints.postgres) as connection:
            connection.execute("DROP TABLE predictions")


@pytest.mark.on_demand
def test_the_first_cells_mend_a_lesson_that_was_broken_off_without_kafka(own_lab: Lab, bench: Workbench) -> None:
    lab = own_lab
    lab.capture("http")
    for name in ("scorer", *SERVERS, "kafka"):
        lab.stack.stop_service(name)

    again = Lab(lab.settings.model_copy(update={"capture": None})).capture_by("connect", report=lambda _: None)
    try:
        connectors = {status.name: status for status in again.status() if status.name.endswith("-connector")}
        assert set(connectors) == {"lab-connector", "mnist-connector"}
        # Connect may give a task to its one worker anew, and then it starts again. One that has failed stays failed.
        assert not [status for status in connectors.values() if status.state == "failed"]
        again.wait_until(
            lambda: all(status.healthy for status in again.status() if status.name in connectors), "all run", PATIENCE_S
        )
        bench_again = Workbench(again, "servertest")
        assert bench_again.things() != []
        bench_again.clear()
        again.release("http")
        assert bench_again.things() == [] and set(again.tables.slots()) == {"debezium", "lab"}
        assert HTTP_SCORER not in again.endpoints.server_ports
        row_id = again.insert(np.zeros((28, 28), np.uint8), 1)
        again.wait_until(lambda: not again.ledger().rows_without_event, f"row {row_id} is captured", PATIENCE_S)
    finally:
        again.close()
        lab.capture_by("connect", report=lambda _: None)
