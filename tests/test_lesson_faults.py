"""Lesson 7: each check refuses a plausible wrong answer in a helpful word, and accepts another right one."""

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest

from labkit import Lab
from labkit.capture.configs import ConnectorConfig
from labkit.course import Workbench
from labkit.course import faults as check
from labkit.course.own_connector import own_connector
from labkit.digits import load_digits

DIGIT = load_digits("bundled", "test").images[4]
STRING = "org.apache.kafka.connect.storage.StringConverter"


@pytest.fixture
def bench(lab: Lab) -> Iterator[Workbench]:
    """A workbench that is empty before and after."""
    bench = Workbench(lab, "faultstest")
    bench.clear()
    yield bench
    bench.clear()


def test_what_a_crash_has_lost_is_the_ledgers_word(scoring_lab: Lab) -> None:
    lab = scoring_lab
    lab.sender.send(20, 100)
    pessimist = check.lost_in_crash(20, lab)
    assert pessimist.kind == "wrong" and "Who held the changes" in pessimist.words
    assert "0" not in pessimist.words and "none" not in pessimist.words, "the answer is not given away"
    assert "whole number" in check.lost_in_crash("none", lab).words
    assert check.lost_in_crash(np.int64(lab.settle().lost), lab).right


def test_a_late_label_counts(scoring_lab: Lab) -> None:
    lab = scoring_lab
    early, late, corrected = lab.insert(DIGIT, 4), lab.insert(DIGIT, None), lab.insert(DIGIT, None)
    not_yet = check.counts_now(late, lab)
    assert not_yet.kind == "wrong" and "does not count yet" in not_yet.words
    with_label = check.counts_now(early, lab)
    assert with_label.kind == "wrong" and "came with a label" in with_label.words
    assert "no row 1000000000" in check.counts_now(10**9, lab).words
    lab.relabel(late, 4)
    assert check.counts_now(late, lab).right
    lab.relabel(corrected, 9)
    lab.relabel(corrected, 4)
    assert check.counts_now(corrected, lab).right, "mended in two steps"


def test_a_poison_row_is_passed_and_what_is_missing_is_counted(lab: Lab, bench: Workbench) -> None:
    table = bench.name("digits")
    topic = f"{bench.name()}.public.{table}"
    connector = own_connector(
        lab,
        bench,
        table,
        key__converter=STRING,
        value__converter=STRING,
        transforms="unwrap,mnist",
        transforms__unwrap__type="io.debezium.transforms.ExtractNewRecordState",
        transforms__mnist__type="io.debezium.transforms.MnistToCsv",
        transforms__mnist__id_header="id",
    )
    strict = {option: value for option, value in connector.config.items() if not option.endswith("schemas.enable")}

    def put(config: dict[str, str]) -> dict[str, str]:
        lab.connect.register(ConnectorConfig(connector.name, config))
        return config

    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:

        def insert(pixels: bytes) -> int:
            query = f"INSERT INTO {table} (label, pixels) VALUES (1, %s) RETURNING id"
            row = connection.execute(query, [pixels]).fetchone()  # pyright: ignore
            assert row is not None
            return int(row[0])

        connection.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, label smallint, pixels bytea)")  # pyright: ignore
        assert "no connector" in check.healed({}, lab, connector.name, topic, 1).words
        put(strict)
        good = insert(bytes(784))
        lab.wait_until(lambda: good in check.ids_in(lab, topic), "a good row arrives")
        insert(b"abc")
        behind = insert(bytes(784))

    assert "dict of options" in check.healed("all", lab, connector.name, topic, behind).words
    lab.connect.restart(connector.name)
    restarted = check.healed(strict, lab, connector.name, topic, behind)
    assert restarted.kind == "wrong" and "a restart reads it again" in restarted.words

    assert check.missing_rows(3, lab, table, topic).words.startswith("Those are all rows")
    assert "whole number" in check.missing_rows({2, 3}, lab, table, topic).words
    assert check.missing_rows(2, lab, table, topic).right

    log = {"errors.tolerance": "all", "errors.log.enable": "true", "errors.log.include.messages": "true"}
    assert check.healed(put(strict | log), lab, connector.name, topic, behind).right
    assert check.missing_rows(0, lab, table, topic).kind == "wrong"
    assert check.missing_rows(np.int32(1), lab, table, topic).right
