"""Lesson 4: each check refuses a plausible wrong answer in a helpful word, and accepts another right one."""

import itertools
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import NewTopic

from labkit import Lab, LabError
from labkit.course import Workbench
from labkit.course import kafka_basics as check
from labkit.course.processes import Process
from labkit.stream.reading import read_to_present_end
from labkit.stream.topics import CLIENT

ROW = 7
HOSTILE: list[object] = ["12", b"12", 12.5, float("nan"), True, object(), np.array(3), [None], [[1]] * 5]


@pytest.fixture(scope="module")
def bench(lab: Lab) -> Iterator[Workbench]:
    bench = Workbench(lab, "kafka")
    bench.clear()
    yield bench
    bench.clear()
    assert bench.things() == []


@pytest.fixture(scope="module")
def producer(lab: Lab) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(bootstrap_servers=lab.kafka, **CLIENT)
    yield producer
    producer.close()


@pytest.fixture(scope="module")
def reader(lab: Lab) -> Iterator[KafkaConsumer]:
    reader = KafkaConsumer(bootstrap_servers=lab.kafka, enable_auto_commit=False, **CLIENT)
    yield reader
    reader.close()


def make_topic(lab: Lab, name: str, partitions: int) -> str:
    admin = KafkaAdminClient(bootstrap_servers=lab.kafka, **CLIENT)
    admin.create_topics([NewTopic(name, partitions, 1)])
    admin.wait_for_topics([name])
    admin.close()
    return name


@pytest.fixture(scope="module")
def rows(lab: Lab, bench: Workbench, producer: KafkaProducer) -> str:
    """A topic of three partitions with three records of each of ten rows, as in the lesson."""
    topic = make_topic(lab, bench.name("rows"), 3)
    for row in [*range(1, 11)] * 3:
        producer.send(topic, key=str(row).encode(), value=bytes([row] * 784)).get()
    return topic


def test_neighbours(lab: Lab, rows: str, producer: KafkaProducer) -> None:
    same_remainder = check.neighbours([1000 + 3 * n + ROW % 3 for n in range(1, 6)], lab, rows, ROW)
    assert same_remainder.kind == "wrong" and "hash of the key's bytes" in same_remainder.words
    old = check.neighbours([ROW, 1001, 1002, 1003, 1004], lab, rows, ROW)
    assert old.kind == "wrong" and "not a new one" in old.words

    home = next(record.partition for record in read_to_present_end(lab.kafka, rows) if record.key == b"7")
    found: list[int] = []
    for row in itertools.count(5000):
        # Another way to the answer: ask the broker where it put a record.
        if producer.send(rows, key=str(row).encode(), value=b"").get().partition == home:
            found.append(row)
        if len(found) == 5:
            break
    assert check.neighbours(np.array(found), lab, rows, ROW).right
    assert check.neighbours(iter(found), lab, rows, ROW).right
    twice = check.neighbours([found[0]] * 5, lab, rows, ROW)
    assert twice.kind == "wrong" and "Five different row ids" in twice.words
    four = check.neighbours(found[:4], lab, rows, ROW)
    assert four.kind == "wrong" and "these are 4" in four.words


@pytest.mark.parametrize("answer", [*HOSTILE, {}, ["1001", "1002", "1003", "1004", "1005"], itertools.count(1001)])
def test_neighbours_are_row_ids(lab: Lab, rows: str, answer: object) -> None:
    verdict = check.neighbours(answer, lab, rows, ROW)
    assert verdict.kind == "wrong" and "row id" in verdict.words


def test_without_the_row_nothing_can_be_said(lab: Lab, rows: str) -> None:
    verdict = check.neighbours([1001, 1002, 1003, 1004, 1005], lab, rows, 10**6)
    assert verdict.kind == "unchecked" and "no records of row 1000000" in verdict.words


def test_where_a_key_goes_is_where_the_broker_has_it(lab: Lab, rows: str) -> None:
    records = list(read_to_present_end(lab.kafka, rows))
    assert {record.partition for record in records} == {0, 1, 2}
    for record in records:
        assert check.partition_of(int(record.key), 3) == record.partition


def test_the_last_records(lab: Lab, rows: str, reader: KafkaConsumer) -> None:
    partition = TopicPartition(rows, 0)
    everything = list(read_to_present_end(lab.kafka, rows))
    mine = [record for record in everything if record.partition == 0]
    elsewhere = [record for record in everything if record.partition == 1]

    first = check.last_records(mine[:5], lab, partition)
    assert first.kind == "wrong" and "begin at offset 0" in first.words
    one_off = check.last_records(mine[-6:-1], lab, partition)
    assert one_off.kind == "wrong" and "the next record will get" in one_off.words
    too_many = check.last_records(mine, lab, partition)
    assert too_many.kind == "wrong" and f"these are {len(mine)}" in too_many.words
    another = check.last_records(elsewhere[-5:], lab, partition)
    assert another.kind == "wrong" and "from elsewhere" in another.words
    repeated = check.last_records([mine[-1]] * 5, lab, partition)
    assert repeated.kind == "wrong"
    nothing = check.last_records({}, lab, partition)
    assert nothing.kind == "wrong" and "these are 0" in nothing.words, "a poll that brought none"

    reader.assign([partition])
    reader.seek_to_end(partition)
    reader.seek(partition, reader.position(partition) - 5)
    assert check.last_records(reader.poll(timeout_ms=5000), lab, partition).right, "as poll gives them"
    assert check.last_records(tuple(reversed(mine))[:5], lab, partition).right, "in another order"


@pytest.mark.parametrize("answer", [*HOSTILE, [0, 1, 2, 3, 4], {"records": 3}])
def test_the_last_records_are_records(lab: Lab, rows: str, answer: object) -> None:
    verdict = check.last_records(answer, lab, TopicPartition(rows, 0))
    assert verdict.kind == "wrong" and ("records" in verdict.words)


def test_lag(lab: Lab, bench: Workbench, producer: KafkaProducer) -> None:
    topic, group = make_topic(lab, bench.name("stream"), 3), bench.name("slow")
    partitions = [TopicPartition(topic, number) for number in range(3)]
    for partition, count in zip(partitions, (10, 20, 40), strict=True):
        for _ in range(count):
            producer.send(topic, value=b"digit", partition=partition.partition)
    producer.flush()
    nothing_committed = check.lag(70, lab, topic, group)
    assert nothing_committed.right, "a group that has committed nothing has everything before it"

    member = KafkaConsumer(bootstrap_servers=lab.kafka, group_id=group, enable_auto_commit=False, **CLIENT)
    member.assign(partitions)
    # In partition 2 nothing is committed.
    member.commit({partitions[0]: OffsetAndMetadata(7), partitions[1]: OffsetAndMetadata(1)})
    for wrong, words in (
        (70, "where the topic ends"),
        (8, "how far the group has come"),
        (19, "in one partition"),
        (-62, "the sign is not"),
        (61, "another figure"),
    ):
        verdict = check.lag(wrong, lab, topic, group)
        assert verdict.kind == "wrong" and words in verdict.words
    ends = member.end_offsets(partitions)
    by_consumer = sum(ends[partition] - (member.committed(partition) or 0) for partition in partitions)
    assert check.lag(by_consumer, lab, topic, group).right
    assert check.lag(np.float64(62), lab, topic, group).right

    member.commit({partitions[2]: OffsetAndMetadata(40)})
    member.close()
    assert check.lag(62, lab, topic, group).kind == "wrong", "the group has gone on"
    assert check.lag(22, lab, topic, group).right


@pytest.mark.parametrize("answer", ["62", [62], {}, float("nan"), float("inf"), True, object(), np.array([62, 1])])
def test_a_lag_is_a_number(lab: Lab, rows: str, answer: object) -> None:
    verdict = check.lag(answer, lab, rows, "course_kafka_nobody")
    assert verdict.kind == "wrong" and "A lag is a number" in verdict.words


Store = dict[Any, Any]


def _add_up(store: Store, record: Any) -> None:
    store["ink"] = store.get("ink", 0) + sum(record.value)


def _nothing(store: Store, record: Any) -> None:
    del store, record


def _by_digits_look(store: Store, record: Any) -> None:
    store[record.value] = sum(record.value)


def _marked(store: Store, record: Any) -> None:
    if record.offset not in store:
        _add_up(store, record)
        store[record.offset] = True


def _fails(store: Store, record: Any) -> None:
    store[record.key] += sum(record.value)


def _by_offset(store: Store, record: Any) -> None:
    store[record.topic, record.partition, record.offset] = sum(record.value)


def _once(store: Store, record: Any) -> None:
    store.setdefault(record.key, np.frombuffer(record.value, np.uint8).sum(dtype=np.int64))


@pytest.fixture(scope="module")
def digits(lab: Lab, bench: Workbench, producer: KafkaProducer) -> str:
    """A topic of 40 rows, of which each second looks like the one before."""
    topic = make_topic(lab, bench.name("digits"), 1)
    for row in range(40):
        producer.send(topic, key=str(row).encode(), value=bytes([1 + row // 2] * 784))
    producer.flush()
    return topic


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_add_up, "too much ink"),
        (_nothing, "Even where every record comes once"),
        (_by_digits_look, "Even where every record comes once"),
        (_marked, "every value in the store is a number"),
        (_fails, "failed: KeyError"),
        (lambda record: record, "failed: TypeError"),
        (lambda store, record: store.update({record.key: "ink"}), "value in the store is a number"),
        (3, "Answer with a function"),
        ("process", "Answer with a function"),
        ({}, "Answer with a function"),
    ],
)
def test_processing_that_is_not_idempotent(lab: Lab, digits: str, answer: object, words: str) -> None:
    verdict = check.idempotent(answer, lab, digits)
    assert verdict.kind == "wrong" and words.lower() in verdict.words.lower()


def test_what_is_kept_outside_the_store_does_not_survive(lab: Lab, digits: str) -> None:
    seen: set[int] = set()

    def remembers(store: Store, record: Any) -> None:
        if record.offset not in seen:
            seen.add(record.offset)
            _add_up(store, record)

    verdict = check.idempotent(remembers, lab, digits)
    assert verdict.kind == "wrong" and "outside the store" in verdict.words


@pytest.mark.parametrize("answer", [_by_offset, _once])
def test_processing_that_is_idempotent(lab: Lab, digits: str, answer: object) -> None:
    verdict = check.idempotent(answer, lab, digits)
    assert verdict.right and "came twice" in verdict.words


def _count(first: int, count: int) -> None:
    for number in range(first, first + count):
        print(number, flush=True)


def _for_ever() -> None:
    import time

    print("here", flush=True)
    while True:
        time.sleep(1)


def _broken() -> None:
    print("before", flush=True)
    raise ValueError("no such thing")


def test_a_function_runs_in_another_process() -> None:
    with Process(_count, 3, 4) as process:
        assert process.read_lines(1) == ["3"]
        assert process.read_lines() == ["4", "5", "6"]
        assert process.exit_code == 0, "it ended by itself, and well"
    assert not process.running


def test_a_process_is_killed_and_waited_for() -> None:
    with Process(_for_ever) as process:
        assert process.read_lines(1) == ["here"]
        assert process.running
        pid = process.kill()
        assert not process.running and not psutil.pid_exists(pid)
        assert process.read_lines() == [], "killed on purpose is no error"
    with Process(_for_ever) as left_alone:
        left_alone.read_lines(1)
    assert not left_alone.running, "leaving the block kills it"


def test_a_process_that_fails_says_why() -> None:
    with Process(_broken) as process, pytest.raises(LabError, match="ValueError: no such thing"):
        process.read_lines(5)


def test_a_process_ends_with_a_kernel_that_is_killed() -> None:
    notebook = textwrap.dedent("""
        import time
        from labkit.course.processes import Process
        from tests.test_lesson_kafka import _for_ever
        with Process(_for_ever) as process:
            process.read_lines(1)
            print("started", flush=True)
            time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", notebook], stdout=subprocess.PIPE, text=True) as kernel:
        assert kernel.stdout is not None and kernel.stdout.readline() == "started\n"
        children = psutil.Process(kernel.pid).children()
        assert children and all(child.is_running() for child in children)
        kernel.kill()
    deadline = time.monotonic() + 10
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline, "the process outlives its kernel"
        time.sleep(0.05)
