"""Flink with its built-in Debezium: from PostgreSQL to a table, compared with what goes through Kafka."""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import psycopg
import pytest
from kafka import KafkaProducer
from psycopg import sql

from labkit import Lab, LabError
from labkit.course import Workbench, flink_stream
from labkit.course.envelopes import capture_envelopes
from labkit.digits import load_digits
from labkit.engines.catalog import ENGINES
from labkit.engines.count_job import count_labels, job_name
from labkit.engines.envelope import decode_envelope
from labkit.engines.environment import EngineEnvironment
from labkit.engines.options import CDC_SLOT, by_second
from labkit.engines.side_job import side_log
from labkit.model.network import build_network
from labkit.model.prediction_records import read_predictions
from labkit.settings import CDC_SCORER, Settings, load_settings
from labkit.stack.postgres import place
from labkit.stream.events import NotADigitError
from labkit.stream.reading import read_to_present_end, wait_for_records
from labkit.stream.topics import CLIENT
from tests.conftest import HOME
from tests.labs import side_job_note

PATIENCE_S = 180.0
ENGINE = "flink-cdc"
KEPT = "SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 FROM pg_replication_slots"
Change = tuple[int, int, str, int | None, int | None]
"""Row, LSN, operation, label and what it was predicted."""


@pytest.fixture(scope="module")
def cdc_lab() -> Iterator[Lab]:
    """A lab with 50 rows that both score, its own scorer through Kafka and Flink without."""
    EngineEnvironment(ENGINES[ENGINE].packages, load_settings()).install()
    lab = Lab(Settings(home=HOME.with_name(f"{HOME.name}-cdc")))
    lab.down(report=lambda _: None)
    lab.up()
    try:
        lab.publish(build_network(seed=1))
        lab.tables.copy(load_digits("bundled", "test").take(50), "mnist_test")
        lab.capture("bytes")
        lab.score_by(ENGINE)
        lab.wait_until(lambda: len(by_flink(lab)) == 50, "Flink has scored what was there", PATIENCE_S)
        yield lab
    finally:
        print(lab.stack.log(CDC_SCORER, 100))
        lab.down(report=lambda _: None)


def by_flink(lab: Lab) -> list[Change]:
    """What is in the table, in the order of the log."""
    with psycopg.connect(lab.endpoints.postgres) as connection:
        return connection.execute(
            "SELECT row_id, lsn, operation, label, predicted FROM predictions ORDER BY lsn, row_id"
        ).fetchall()


def through_kafka(lab: Lab) -> list[Change]:
    """What is in the predictions topic, a snapshot's rows as Flink counts them."""
    found = [
        (p.row_id, 0 if p.operation == "r" else p.lsn, p.operation, p.label, p.predicted)
        for p in read_predictions(lab.kafka)[0]
    ]
    return sorted(found, key=lambda change: (change[1], change[0]))


def same_on_both(lab: Lab) -> None:
    """Wait until every change has its prediction on both ways, and see that they are the same, each once."""
    lab.wait_until(lambda: lab.ledger().lost == 0, "all is scored through Kafka", PATIENCE_S)
    expected = through_kafka(lab)
    lab.wait_until(lambda: len(by_flink(lab)) >= len(expected), "all is scored by Flink", PATIENCE_S)
    assert by_flink(lab) == expected


def inserted(label: object) -> str:
    """Debezium's envelope of an inserted row with that label."""
    after = {"id": 1, "label": label, "pixels": base64.b64encode(bytes(784)).decode()}
    return json.dumps({"op": "c", "source": {"lsn": 1, "ts_ms": 1}, "after": after})


def counts_agree(lab: Lab, table: str) -> bool:
    """Whether the counts that Flink keeps are those of the table."""
    truth = "SELECT label, count(*) FROM mnist_test WHERE label IS NOT NULL GROUP BY label ORDER BY label"
    kept = sql.SQL("SELECT label, digits FROM {} ORDER BY label").format(sql.Identifier(table))
    with psycopg.connect(lab.endpoints.postgres) as connection:
        return connection.execute(kept).fetchall() == connection.execute(truth).fetchall()


def seconds_agree(lab: Lab, table: str, topic: str) -> bool:
    """Whether Flink has told each second that is over by the topic's own time, and counted its changes right."""
    sources = [json.loads(record.value) for record in read_to_present_end(lab.kafka, topic) if record.value]
    truth = Counter((change["source"]["ts_ms"] // 1000, change["op"]) for change in sources)
    newest_ms = max(change["source"]["ts_ms"] for change in sources)
    query = sql.SQL("SELECT extract(epoch FROM committed)::int, operation, changes FROM {}")
    with psycopg.connect(lab.endpoints.postgres) as connection:
        kept = connection.execute(query.format(sql.Identifier(by_second(table)))).fetchall()
    # A second's last millisecond is over once a change comes that was committed a second after it.
    over = {key: count for key, count in truth.items() if 1000 * key[0] + 999 + 1000 <= newest_ms}
    return {(second, operation): count for second, operation, count in kept} == over


def is_active(lab: Lab) -> bool:
    """Whether somebody reads Flink's slot."""
    with psycopg.connect(lab.endpoints.postgres) as connection:
        query = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
        return connection.execute(query, [CDC_SLOT]).fetchone() == (True,)


def job_processes(lab: Lab) -> list[psutil.Process]:
    """The process that supervisor keeps, and what it has started."""
    (pid,) = [status.pid for status in lab.stack.status() if status.name == CDC_SCORER]
    assert pid is not None
    starter = psutil.Process(pid)
    return [starter, *starter.children(recursive=True)]


def test_it_says_of_every_change_what_the_way_through_kafka_says(cdc_lab: Lab) -> None:
    lab = cdc_lab
    ids = lab.sender.send(60, 30)
    lab.relabel(ids[0], 9)
    lab.relabel(ids[1], None)
    lab.delete(ids[2])
    same_on_both(lab)
    assert len(by_flink(lab)) == 113
    (note,) = [status.note for status in lab.status() if status.name == CDC_SCORER]
    assert re.fullmatch(r"flink-cdc: lag \d+\.\d MiB of log, checkpoint \d+ s ago", note), note
    assert [status.state for status in lab.status() if status.name == "scorer"] == ["running"], "both score"


def test_killed_in_the_middle_it_goes_on_from_its_last_checkpoint(cdc_lab: Lab) -> None:
    lab = cdc_lab
    before = len(by_flink(lab))
    lab.sender.start(50)
    lab.wait_until(lambda: len(by_flink(lab)) > before + 20, "the stream is on its way", PATIENCE_S)
    processes = job_processes(lab)
    processes[0].kill()
    time.sleep(2)
    lab.sender.stop()
    assert not psutil.wait_procs(processes, timeout=30)[1], "nothing of the old job is left"
    same_on_both(lab)
    assert "from file:" in lab.stack.log(CDC_SCORER, 20), "no second snapshot"


def test_stopped_its_slot_keeps_the_log_and_it_goes_on_from_its_savepoint(cdc_lab: Lab) -> None:
    lab = cdc_lab
    lab.stop_engine(ENGINE)
    assert CDC_SCORER not in [status.name for status in lab.status()]
    lab.insert(np.zeros((28, 28), np.uint8), 1)
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE big AS SELECT repeat(md5(n::text), 30) FROM generate_series(1, 20000) AS n")
        kept: dict[str, float] = dict(connection.execute(KEPT).fetchall())
        connection.execute("DROP TABLE big")
    assert kept[CDC_SLOT] > 2**20
    # What lesson 10 asks of it.
    assert flink_stream.kept_log_mib(kept[CDC_SLOT] / 2**20, lab).right
    assert "in bytes" in flink_stream.kept_log_mib(kept[CDC_SLOT], lab).words
    assert "restart_lsn" in flink_stream.kept_log_mib(1e-5, lab).words
    lab.score_by(ENGINE)
    same_on_both(lab)
    assert "/savepoints/" in lab.stack.log(CDC_SCORER, 20)


def test_lesson_10_asks_what_the_snapshot_found(cdc_lab: Lab) -> None:
    lab = cdc_lab
    changes = len(by_flink(lab))
    right = flink_stream.from_snapshot(50, lab)
    assert right.right and f"what came since: {changes - 50}" in right.words
    assert "a snapshot found is r" in flink_stream.from_snapshot(changes, lab).words
    assert "by their operation" in flink_stream.from_snapshot(49, lab).words
    assert "whole number" in flink_stream.from_snapshot("50", lab).words


def test_lesson_10_knows_the_changelog(cdc_lab: Lab) -> None:
    lab, bench = cdc_lab, Workbench(cdc_lab, "flink")
    bench.clear()
    topic = capture_envelopes(bench, lab)
    ids = lab.sender.send(5, 50)
    lab.relabel(ids[0], 9)
    lab.relabel(ids[0], None)
    lab.delete(ids[1])
    wait_for_records(lab.kafka, topic, lab.tables.count("mnist_test") + 4)
    right = flink_stream.changelog_rows(10, lab, topic, ids)
    assert right.right and "8 change events" in right.words and "the 2 updates" in right.words
    assert "Those are the change events" in flink_stream.changelog_rows(8, lab, topic, ids).words
    assert "adds none" in flink_stream.changelog_rows(11, lab, topic, ids).words
    assert "an insert adds a row" in flink_stream.changelog_rows(5, lab, topic, ids).words
    assert "whole number" in flink_stream.changelog_rows("10", lab, topic, ids).words
    bench.clear()


@pytest.mark.on_demand
def test_a_slot_that_somebody_else_reads_is_told_and_nothing_is_lost(cdc_lab: Lab) -> None:
    lab = cdc_lab
    lab.stop_engine(ENGINE)
    program = place(lab.settings).programs / "pg_recvlogical"
    options = ["-o", "proto_version=1", "-o", "publication_names=dbz_publication", "-f", os.devnull]
    reader = subprocess.Popen([program, "-d", lab.endpoints.postgres, "-S", CDC_SLOT, "--start", *options])
    try:
        lab.wait_until(lambda: is_active(lab), "somebody reads the slot")
        lab.score_by(ENGINE)
        told = "slot flink is read by somebody else, PostgreSQL's process "
        lab.wait_until(lambda: told in lab.stack.log(CDC_SCORER, 60), "it is told", PATIENCE_S)
        with pytest.raises(LabError, match="'flink' is still read by pg_recvlogical, PostgreSQL's process"):
            lab.stop_engine(ENGINE, forget=True)
        lab.score_by(ENGINE)
    finally:
        reader.kill()
        reader.wait()
    lab.insert(np.zeros((28, 28), np.uint8), 1)
    same_on_both(lab)


class Counting(NamedTuple):
    """What a job that counts reads and writes: Debezium's JSON, the table of its counts, its log."""

    topic: str
    table: str
    log: Path


@pytest.fixture
def counting(cdc_lab: Lab) -> Iterator[Counting]:
    lab, bench = cdc_lab, Workbench(cdc_lab, "flink")
    bench.clear()
    table = bench.name("counts")
    topic, log = capture_envelopes(bench, lab), side_log(lab.settings, job_name(table))
    wait_for_records(lab.kafka, topic, lab.tables.count("mnist_test"))
    try:
        yield Counting(topic, table, log)
    finally:
        print(log.read_text()[-5000:])
        bench.clear()
        shutil.rmtree(log.parent)


@pytest.mark.on_demand  # Lesson 10 counts so, too.
def test_a_query_over_debeziums_json_keeps_the_counts_of_the_table(cdc_lab: Lab, counting: Counting) -> None:
    lab, (topic, table, log) = cdc_lab, counting
    note = partial(side_job_note, lab, job_name(table))
    agrees, seconds = partial(counts_agree, lab, table), partial(seconds_agree, lab, table, topic)
    with count_labels(topic, table, lab.endpoints, lab.settings) as job:
        lab.wait_until(agrees, "the rows of the snapshot are counted", PATIENCE_S)
        ids = lab.sender.send(30, 60)
        lab.relabel(ids[0], 9)
        lab.relabel(ids[1], None)
        lab.delete(ids[2])
        lab.wait_until(agrees, "relabelled and deleted rows have moved", PATIENCE_S)
        lab.wait_until(lambda: note().startswith("lag 0, checkpoint "), "status tells", PATIENCE_S)
        lab.sender.send(40, 20)
        lab.wait_until(seconds, "the changes of each second are counted", PATIENCE_S)
        job.kill()
        lab.wait_until(lambda: str(log) in note(), "status tells that it has ended, and where", 10)
    assert not note(), "it runs no more"
    lab.relabel(ids[3], (int(lab.tables.labels("mnist_test")[ids[3]] or 0) + 1) % 10)
    with count_labels(topic, table, lab.endpoints, lab.settings):
        lab.wait_until(lambda: "counting on Flink at local[2], from file:" in log.read_text(), "it goes on", PATIENCE_S)
        lab.wait_until(agrees, "what came meanwhile is counted", PATIENCE_S)
        lab.sender.send(40, 20)
        lab.wait_until(seconds, "each second has the changes committed in it, whenever Flink saw them", PATIENCE_S)


@pytest.mark.on_demand
def test_counts_without_their_table_and_of_a_bad_record_are_told(cdc_lab: Lab, counting: Counting) -> None:
    lab, (topic, table, log) = cdc_lab, counting
    agrees = partial(counts_agree, lab, table)

    def drop_counts() -> None:
        with psycopg.connect(lab.endpoints.postgres) as connection:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))

    with count_labels(topic, table, lab.endpoints, lab.settings):
        lab.wait_until(agrees, "the rows of the snapshot are counted", PATIENCE_S)
    drop_counts()
    with count_labels(topic, table, lab.endpoints, lab.settings) as job:
        lab.wait_until(agrees, "in a new table all is counted anew", PATIENCE_S)
        drop_counts()
        lab.insert(np.zeros((28, 28), np.uint8), 1)
        assert job.wait(PATIENCE_S) != 0
    assert f"PostgreSQL has no table {table}" in log.read_text()

    producer = KafkaProducer(bootstrap_servers=lab.kafka, **CLIENT)
    producer.send(topic, b"no JSON").get(10)
    producer.send(topic, b'{"no": "change event"}').get(10)
    producer.close()
    with count_labels(topic, table, lab.endpoints, lab.settings) as job:
        assert job.wait(PATIENCE_S) != 0
    assert "a record is no change event of Debezium's: 'no JSON'" in log.read_text()
    lab.insert(np.zeros((28, 28), np.uint8), 1)
    with count_labels(topic, table, lab.endpoints, lab.settings, skip_bad=True):
        lab.wait_until(agrees, "what is behind the bad records is counted", PATIENCE_S)


@pytest.mark.on_demand
def test_a_dropped_table_is_named_and_the_job_goes_on_with_the_one_that_is_made_anew(cdc_lab: Lab) -> None:
    lab = cdc_lab

    def postgres_says() -> str:
        return next(service.note for service in lab.status() if service.name == "postgres" and not service.healthy)

    before = by_flink(lab)
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute("DROP TABLE mnist_test")
        assert postgres_says() == "there is no table mnist_test: labkit up makes it anew"
        with pytest.raises(LabError, match='"mnist_test" does not exist.*labkit up'):
            lab.sender.send(1, 10)
        lab.tables.setup()
        connection.execute("ALTER PUBLICATION dbz_publication DROP TABLE mnist_test")
        assert "table mnist_test is not published" in postgres_says()
        lab.up(report=lambda _: None)
        assert all(service.healthy for service in lab.status()), lab.status()
    kafka = len(through_kafka(lab))
    ids = lab.sender.send(20, 40)
    lab.wait_until(lambda: len(through_kafka(lab)) == kafka + 20, "the way through Kafka goes on", PATIENCE_S)
    lab.wait_until(lambda: len(by_flink(lab)) == len(before) + 20, "Flink goes on", PATIENCE_S)
    assert [change[0] for change in by_flink(lab)[-20:]] == ids
    assert min(ids) > max(change[0] for change in before), "no id is used for two rows"
    ledger = lab.ledger(wait_s=30)
    assert ledger.duplicated == ledger.lost - len(ledger.rows_gone_without_event) == 0


def test_a_row_that_is_no_digit_is_passed_over_and_told(cdc_lab: Lab) -> None:
    lab = cdc_lab
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute("ALTER TABLE mnist_test DROP CONSTRAINT pixels_are_784_bytes")
        query = "INSERT INTO mnist_test (label, pixels) VALUES (1, 'abc') RETURNING id"
        ((poison,),) = connection.execute(query).fetchall()
        row_id = lab.insert(np.zeros((28, 28), np.uint8), 1)
        lab.wait_until(lambda: by_flink(lab)[-1][0] == row_id, "the digit behind it is scored", PATIENCE_S)
        assert poison not in {change[0] for change in by_flink(lab)}
        told = "3 bytes are no 784 pixels"
        lab.wait_until(lambda: told in lab.stack.log(CDC_SCORER, 60), "it is told", PATIENCE_S)
        connection.execute("DELETE FROM mnist_test WHERE id = %s", [poison])
        check = "ALTER TABLE mnist_test ADD CONSTRAINT pixels_are_784_bytes CHECK (octet_length(pixels) = 784)"
        connection.execute(check)


def test_forgotten_it_keeps_no_log_and_begins_anew(cdc_lab: Lab) -> None:
    lab = cdc_lab
    assert CDC_SLOT in lab.tables.slots()
    lab.stop_engine(ENGINE, forget=True)
    assert CDC_SLOT not in lab.tables.slots()
    with pytest.raises(LabError, match="takes turns.*labkit engine use local"):
        lab.stop_engine("flink-kafka")


@pytest.mark.on_demand
def test_a_dropped_table_of_predictions_is_named_and_forgotten_the_job_fills_a_new_one(cdc_lab: Lab) -> None:
    lab = cdc_lab

    def all_predicted() -> bool:
        with psycopg.connect(lab.endpoints.postgres) as connection:
            query = "SELECT FROM mnist_test WHERE id NOT IN (SELECT row_id FROM predictions)"
            return connection.execute(query).fetchone() is None

    lab.score_by(ENGINE)
    lab.wait_until(all_predicted, "the job runs", PATIENCE_S)
    with psycopg.connect(lab.endpoints.postgres) as connection:
        connection.execute("DROP TABLE predictions")
    lab.insert(np.zeros((28, 28), np.uint8), 1)
    told = "PostgreSQL has no table predictions"
    lab.wait_until(lambda: told in lab.stack.log(CDC_SCORER, 60), "it is told", PATIENCE_S)
    lab.stop_engine(ENGINE, forget=True)
    lab.score_by(ENGINE)
    lab.wait_until(all_predicted, "all is predicted anew", PATIENCE_S)


@pytest.mark.parametrize(
    ("envelope", "words"),
    [
        ("no JSON", "is no digit"),
        ("[]", "is no digit"),
        ('{"op": "c"}', "field 'source' is missing"),
        ('{"op": "x", "source": {}}', "unknown operation 'x'"),
        ('{"op": "c", "source": {}, "after": {"pixels": "AAAA"}}', "3 bytes are no 784 pixels"),
        ('{"op": "c", "source": {}, "after": null}', "is no digit"),
        (inserted(label=10), "10 is no label"),
        (inserted(label="7"), "'7' is no label"),
        (inserted(label=1.5), "1.5 is no label"),
    ],
)
def test_what_is_no_digit_is_named(envelope: str, words: str) -> None:
    with pytest.raises(NotADigitError, match=words):
        decode_envelope(envelope)
