"""Reading and writing by librdkafka, on a real broker, and without one."""

import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.structs import TopicPartition

from labkit import Lab, LabError
from labkit.stream import librdkafka
from labkit.stream.librdkafka import SwiftReader, SwiftWriter, more_wait

NOBODY = "127.0.0.1:1"


@pytest.fixture
def topic(lab: Lab) -> Iterator[str]:
    """A topic of two partitions."""
    name = f"swift-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=lab.kafka)
    admin.create_topics([NewTopic(name, 2, 1)])
    admin.wait_for_topics([name])
    yield name
    admin.delete_topics([name])
    admin.close()


def test_what_is_written_is_read_in_its_order_from_where_one_wants(lab: Lab, topic: str) -> None:
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    before_ms = time.time() * 1000
    with closing(SwiftWriter(lab.kafka)) as writer:
        writer.write(topic, [(n % 2, b"%d" % n, b"value %d" % n) for n in range(10)])
    with closing(SwiftReader(lab.kafka, {first: 2, second: 0})) as reader:
        found = []
        while len(found) < 8:
            found += (records := reader.poll(10, 3))
            assert 0 < len(records) <= 3
        assert reader.poll(0.2, 3) == []
        assert [record.key for record in found if record.partition == 0] == [b"4", b"6", b"8"]
        assert [(record.offset, record.value) for record in found if record.partition == 1] == [
            (offset, b"value %d" % (2 * offset + 1)) for offset in range(5)
        ]
        assert all(before_ms - 1 <= record.timestamp <= time.time() * 1000 for record in found)
        assert {record.topic for record in found} == {topic}
        reader.seek({first: 4})
        assert [record.key for record in reader.poll(10, 3)] == [b"8"]


def test_it_commits_for_a_group_that_it_does_not_join(lab: Lab, topic: str) -> None:
    place, group = TopicPartition(topic, 0), f"group-{topic}"
    with closing(SwiftWriter(lab.kafka)) as writer, closing(SwiftReader(lab.kafka, {place: 0}, group)) as reader:
        writer.write(topic, [(0, b"1", b"one"), (0, b"2", b"two")])
        records = reader.poll(10, 2)
        while len(records) < 2:
            records += reader.poll(10, 2)
        reader.commit(records[:1])
    with closing(KafkaConsumer(bootstrap_servers=lab.kafka, group_id=group)) as other:
        assert other.committed(place) == 1


def test_without_a_broker_nothing_comes_and_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(librdkafka, "FLUSH_S", 1.0)
    with closing(SwiftReader(NOBODY, {TopicPartition("topic", 0): 0})) as reader:
        assert reader.poll(0.2, 10) == []
    with closing(SwiftWriter(NOBODY)) as writer, pytest.raises(LabError, match="cannot be written: no answer in 1 s"):
        writer.write("topic", [(0, b"1", b"one")])


def test_what_is_too_large_is_refused_and_the_rest_goes_on(lab: Lab, topic: str) -> None:
    with closing(SwiftWriter(lab.kafka)) as writer:
        with pytest.raises(LabError, match="too large"):
            writer.write(topic, [(0, b"1", bytes(5_000_000))])
        writer.write(topic, [(0, b"2", b"two")])
    with closing(SwiftReader(lab.kafka, {TopicPartition(topic, 0): 0})) as reader:
        assert [record.key for record in reader.poll(10, 5)] == [b"2"]


def test_only_committed_records_count_as_waiting(lab: Lab, topic: str) -> None:
    first = TopicPartition(topic, 0)
    start = {first: 0, TopicPartition(topic, 1): 0}
    assert not more_wait(lab.kafka, start)
    producer = KafkaProducer(bootstrap_servers=lab.kafka, transactional_id=topic)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"taken back", partition=0)
    producer.abort_transaction()
    assert not more_wait(lab.kafka, start)
    producer.begin_transaction()
    offset = producer.send(topic, b"meant", partition=0).get(10).offset
    assert not more_wait(lab.kafka, start)
    producer.commit_transaction()
    producer.close()
    assert more_wait(lab.kafka, start)
    # What lies behind it is the marker of its transaction.
    assert not more_wait(lab.kafka, start | {first: offset + 1})


def test_without_a_broker_nothing_waits() -> None:
    assert not more_wait(NOBODY, {TopicPartition("topic", 0): 0}, timeout_s=0.5)
