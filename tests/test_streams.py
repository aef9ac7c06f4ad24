"""Kafka topics as datasets, on the real broker: nothing lost, nothing repeated, nothing hanging."""

import time
import uuid

import pytest
import tensorflow as tf
from kafka import KafkaProducer

from labkit import Lab, LabError
from labkit.stream.reading import count_records, read_to_present_end, wait_for_records
from labkit.stream.tensors import bounded_dataset, group_dataset, start_group


@pytest.fixture
def topic(lab: Lab) -> str:
    """A topic of 150 numbered records and two tombstones: no multiple of tensorflow-io's batch."""
    name = f"numbers-{uuid.uuid4().hex[:8]}"
    fill(lab.kafka, name, range(150))
    producer = KafkaProducer(bootstrap_servers=lab.kafka)
    for key in (b"7", b"8"):
        producer.send(name, key=key, value=None).get(10)
    producer.close()
    return name


def fill(servers: str, topic: str, numbers: range) -> None:
    """Write numbers as records."""
    producer = KafkaProducer(bootstrap_servers=servers)
    for number in numbers:
        producer.send(topic, key=str(number % 10).encode(), value=str(number).encode())
    producer.flush()
    producer.close()


def numbers(dataset: tf.data.Dataset) -> list[int]:
    """What a dataset of numbers yields."""
    return [int(message.numpy()) for message, _ in dataset]


def test_group_dataset_loses_no_tail_and_skips_tombstones(lab: Lab, topic: str) -> None:
    assert numbers(group_dataset(lab.kafka, topic)) == list(range(150))


def test_group_dataset_knows_its_length(lab: Lab, topic: str) -> None:
    assert int(group_dataset(lab.kafka, topic).cardinality()) == 150


def test_two_group_datasets_in_one_process_do_not_interfere(lab: Lab, topic: str) -> None:
    first, second = group_dataset(lab.kafka, topic), group_dataset(lab.kafka, topic)
    assert numbers(first) == list(range(150))
    assert numbers(second) == list(range(150))


def test_group_dataset_ends_after_silence_with_the_whole_tail(lab: Lab, topic: str) -> None:
    dataset = group_dataset(lab.kafka, topic, until_present_end=False, stream_timeout_ms=3000)
    started = time.monotonic()
    assert numbers(dataset) == list(range(150))
    assert time.monotonic() - started >= 3


def test_group_dataset_from_latest_sees_only_what_comes(lab: Lab, topic: str) -> None:
    dataset = group_dataset(lab.kafka, topic, start="latest", until_present_end=False, stream_timeout_ms=4000)
    fill(lab.kafka, topic, range(1000, 1030))
    assert numbers(dataset) == list(range(1000, 1030))


def test_bounded_dataset_can_be_read_again_and_sees_what_came(lab: Lab, topic: str) -> None:
    dataset = bounded_dataset(lab.kafka, topic)
    assert numbers(dataset) == list(range(150))
    fill(lab.kafka, topic, range(150, 160))
    assert numbers(dataset) == list(range(160))


def test_counting_tells_tombstones_apart(lab: Lab, topic: str) -> None:
    assert count_records(lab.kafka, topic) == (152, 2)


def test_reading_ends_at_the_present_end_while_the_topic_grows(lab: Lab, topic: str) -> None:
    reader = read_to_present_end(lab.kafka, topic)
    first = next(reader)
    fill(lab.kafka, topic, range(150, 200))
    assert [first.offset, *(record.offset for record in reader)] == list(range(152))


def test_a_missing_topic_is_named(lab: Lab) -> None:
    for read in (group_dataset, bounded_dataset, count_records):
        with pytest.raises(LabError, match="no-such-topic"):
            read(lab.kafka, "no-such-topic")


def test_an_absent_broker_is_named() -> None:
    with pytest.raises(LabError, match=r"127\.0\.0\.1:9"):
        count_records("127.0.0.1:9", "numbers")


def test_an_unknown_start_is_refused(lab: Lab, topic: str) -> None:
    with pytest.raises(LabError, match="'earliest' or 'latest'"):
        start_group(lab.kafka, topic, "somebody", "newest")  # pyright: ignore[reportArgumentType]


def test_waiting_for_more_records_than_come_says_how_many_there_are(lab: Lab, topic: str) -> None:
    with pytest.raises(LabError, match="152 of 153"):
        wait_for_records(lab.kafka, topic, 153, timeout_s=2)
