"""A Connect worker starts at once, whatever transactions a killed one or a restarted broker left behind."""

import os
import signal
import struct
import time
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import AbortTransactionSpec
from kafka.structs import TopicPartition

from labkit import Lab
from labkit.digits import load_digits
from labkit.settings import TEST_TABLE, table_topic
from tests.accounts import balanced

DIGIT = load_digits("bundled", "test").images[0]
OFFSETS, EVENTS = "connect-offsets", table_topic("lab", TEST_TABLE)
TIMEOUT_MS = 600_000
"""Of the transactions left open here: longer than any test waits."""
EMPTY, COMPLETE_COMMIT = 0, 4
# What a state's record begins with: version, producer id, epoch, time-out, state.
STATE = struct.Struct(">hqhib")


def kill(lab: Lab, service: str) -> None:
    """Kill -9 one of the lab's servers."""
    (pid,) = [status.pid for status in lab.stack.status() if status.name == service]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def healthy(lab: Lab, service: str) -> bool:
    """Whether one of the lab's servers answers."""
    return any(status.name == service and status.healthy for status in lab.stack.status())


def open_offsets(lab: Lab) -> list[int]:
    """Of the topics written to: how many offsets are held back by an open transaction."""
    held = []
    for topic in (OFFSETS, EVENTS):
        ends = []
        for isolation in ("read_committed", "read_uncommitted"):
            consumer = KafkaConsumer(bootstrap_servers=lab.kafka, isolation_level=isolation, enable_auto_commit=False)
            partition = TopicPartition(topic, 0)
            ends.append(consumer.end_offsets([partition])[partition])
            consumer.close()
        held.append(ends[1] - ends[0])
    return held


@pytest.fixture
def left_open(scoring_lab: Lab) -> Iterator[str]:
    """A transaction of a worker's that is gone, with a record and a source offset in it: its transactional id."""
    name = f"labkit-connect-gone-{time.time_ns()}"
    producer = KafkaProducer(
        bootstrap_servers=scoring_lab.kafka, transactional_id=name, transaction_timeout_ms=TIMEOUT_MS
    )
    producer.init_transactions()
    producer.begin_transaction()
    for topic in (OFFSETS, EVENTS):
        producer.send(topic, key=b"?", value=b"?", partition=0).get(10)
    yield name
    producer.close(timeout=0)


def write_state(lab: Lab, name: str, state: int | None) -> None:
    """Write into the coordinator's log what became of a transaction, as a restarted broker may by mistake.

    Args:
        lab: The running lab.
        name: The transactional id.
        state: What it is called, with the next epoch; None: nothing is known of it any more.
    """
    log = KafkaConsumer(
        bootstrap_servers=lab.kafka, exclude_internal_topics=False, enable_auto_commit=False, consumer_timeout_ms=2000
    )
    partitions = [TopicPartition("__transaction_state", number) for number in range(4)]
    log.assign(partitions)
    log.seek_to_beginning()
    newest = [record for record in log if record.key.endswith(name.encode())][-1]
    log.close()
    version, producer_id, epoch, timeout_ms, _ = STATE.unpack_from(newest.value)
    now = int(time.time() * 1000)
    ended = None
    if state is not None:
        ended = STATE.pack(version, producer_id, epoch + 1, timeout_ms, state)
        ended += b"\x01" + struct.pack(">qq", now, now) + b"\x00"  # no partitions; changed, begun; no more fields
    # Kafka lets its own tools alone write to its internal topics, and knows them by this name.
    tool = KafkaProducer(bootstrap_servers=lab.kafka, client_id="__admin_client")
    tool.partitions_for("__transaction_state")
    tool._metadata.internal_topics.clear()  # kafka-python itself refuses them, too
    tool.send("__transaction_state", key=newest.key, value=ended, partition=newest.partition).get(10)
    tool.close()


def test_a_transaction_that_a_worker_left_open_is_ended(scoring_lab: Lab, left_open: str) -> None:
    lab = scoring_lab
    before = balanced(lab).events
    # A heartbeat may have come to lie behind it.
    assert all(held_back >= 1 for held_back in open_offsets(lab))
    kill(lab, "connect")
    lab.insert(DIGIT, 0)
    lab.wait_until(lambda: open_offsets(lab) == [0, 0], "nothing is held back", timeout_s=30)
    lab.wait_until(lambda: all(status.healthy for status in lab.status()), "every part is healthy")
    assert balanced(lab).events == before + 1
    assert left_open in lab.stack.log("connect", lines=2000)


@pytest.mark.on_demand
def test_a_transaction_that_hangs_after_a_brokers_restart_is_aborted(scoring_lab: Lab, left_open: str) -> None:
    lab = scoring_lab
    before = balanced(lab).events
    write_state(lab, left_open, COMPLETE_COMMIT)
    # While the worker lives, it is left alone: a living producer's next commit would end it.
    kill(lab, "kafka")
    lab.insert(DIGIT, 0)
    lab.wait_until(lambda: healthy(lab, "kafka"), "the broker is back", timeout_s=60)
    time.sleep(3)
    assert open_offsets(lab)[0] >= 1
    # The next worker would wait for it without end.
    kill(lab, "connect")
    lab.wait_until(lambda: all(status.healthy for status in lab.status()), "every part is healthy", timeout_s=60)
    lab.wait_until(lambda: open_offsets(lab) == [0, 0], "nothing is held back")
    assert balanced(lab).events == before + 1
    assert "Aborting a transaction that hangs in connect-offsets-0" in lab.stack.log("connect", lines=2000)


@pytest.mark.on_demand
def test_a_hanging_transaction_that_a_new_task_waits_for_is_aborted(scoring_lab: Lab, left_open: str) -> None:
    lab = scoring_lab
    before = balanced(lab).events
    write_state(lab, left_open, EMPTY)
    kill(lab, "kafka")
    lab.insert(DIGIT, 0)
    lab.wait_until(lambda: healthy(lab, "kafka"), "the broker is back", timeout_s=60)
    lab.wait_until(lambda: open_offsets(lab) == [0, 0], "nothing is held back", timeout_s=60)
    lab.wait_until(lambda: all(status.healthy for status in lab.status()), "every part is healthy", timeout_s=60)
    assert balanced(lab).events == before + 1


@pytest.mark.on_demand
def test_a_transaction_of_which_the_coordinator_says_nothing_is_left_alone(scoring_lab: Lab, left_open: str) -> None:
    """As while a coordinator is loaded: the producer may live, and take for committed what an abort takes back."""
    lab = scoring_lab
    write_state(lab, left_open, None)
    kill(lab, "kafka")
    lab.wait_until(lambda: healthy(lab, "kafka"), "the broker is back", timeout_s=60)
    time.sleep(5)
    assert all(held_back >= 1 for held_back in open_offsets(lab))
    admin = KafkaAdminClient(bootstrap_servers=lab.kafka)
    for topic in (OFFSETS, EVENTS):  # Nobody else would ever end it.
        partition = TopicPartition(topic, 0)
        producers = admin.describe_producers([partition])[partition].active_producers
        (state,) = [
            one
            for one in producers
            if one.current_transaction_start_offset is not None and one.current_transaction_start_offset >= 0
        ]
        admin.abort_transaction(AbortTransactionSpec(partition, state.producer_id, state.producer_epoch))
    admin.close()
    lab.wait_until(lambda: open_offsets(lab) == [0, 0], "nothing is held back")
    balanced(lab)
