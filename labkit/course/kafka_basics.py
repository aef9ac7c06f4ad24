"""Checks of lesson 4: partitions, offsets, lag, and processing that may see a record twice."""

import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from kafka import KafkaAdminClient
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2
from kafka.structs import TopicPartition

from labkit.course.answers import number, whole_number
from labkit.course.verdict import WrongAnswer, check
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.stream.reading import read_to_present_end
from labkit.stream.topics import CLIENT, offset_range

NEIGHBOURS, FIRST_NEW_ROW = 5, 1000
LAST = 5
MANY = 10_000


@check
def neighbours(answer: object, lab: Lab, topic: str, row_id: int) -> str:
    """Whether these are five new rows whose records will share a partition with a row's.

    Args:
        answer: Five different row ids, each over 1,000.
        lab: The running lab.
        topic: A topic with row ids, as text, for keys.
        row_id: The row.
    """
    rows = [whole_number(one, "a row id") for one in _several(answer, "row ids")]
    if len(set(rows)) != NEIGHBOURS or len(rows) != NEIGHBOURS:
        raise WrongAnswer(f"Five different row ids are asked for; these are {len(set(rows))}.")
    small = [row for row in rows if row <= FIRST_NEW_ROW]
    if small:
        raise WrongAnswer(f"Row {small[0]} is not a new one: take ids over {FIRST_NEW_ROW:,}.")
    partitions = len(offset_range(lab.kafka, topic))
    home = {r.partition for r in read_to_present_end(lab.kafka, topic) if r.key == str(row_id).encode()}
    if len(home) != 1:
        raise LabError(f"{topic} holds no records of row {row_id}", "run the cells above again")
    (partition,) = home
    elsewhere = [row for row in rows if partition_of(row, partitions) != partition]
    if elsewhere:
        raise WrongAnswer(
            f"Row {row_id} is in partition {partition}, and row {elsewhere[0]} will go to another. "
            "It is the hash of the key's bytes that decides, not the number."
        )
    return f"All five will go to partition {partition}, as row {row_id} does: the key alone decides."


def partition_of(row_id: int, partitions: int) -> int:
    """The partition that a row id, written as text, belongs to.

    Source: Kafka's own default, murmur2 of the key's bytes without the sign, modulo the number of partitions.
    """
    return (murmur2(str(row_id).encode()) & 0x7FFFFFFF) % partitions


@check
def last_records(answer: object, lab: Lab, partition: TopicPartition) -> str:
    """Whether these are the last five records of a partition.

    Args:
        answer: The records, as a consumer's poll gave them.
        lab: The running lab.
        partition: Topic and partition.
    """
    records = _records(answer)
    given = [(record.topic, record.partition, record.offset) for record in records]
    offsets = [r.offset for r in read_to_present_end(lab.kafka, partition.topic) if r.partition == partition.partition]
    if sorted(given) == [(*partition, offset) for offset in offsets[-LAST:]]:
        return (
            f"Offsets {offsets[-LAST]} to {offsets[-1]}, and nothing before them was read: a position is just a number."
        )
    if {(topic, number) for topic, number, _ in given} - {(partition.topic, partition.partition)}:
        raise WrongAnswer(f"Some of these are from elsewhere. Assign partition {partition.partition} only.")
    if len(given) != LAST:
        raise WrongAnswer(
            f"The last five are asked for; these are {len(given)}. At which offset did the reading start?"
        )
    raise WrongAnswer(
        f"These five begin at offset {min(offset for *_, offset in given)}, and they are not the last. "
        "The end offset is the one that the next record will get."
    )


def _records(answer: object) -> list[ConsumerRecord]:
    # What poll returns is a mapping from partition to records.
    batches = cast("Mapping[Any, Any]", answer).values() if isinstance(answer, Mapping) else [answer]
    records = [record for batch in batches for record in _several(batch, "records")]
    for record in records:
        if not isinstance(record, ConsumerRecord):
            raise WrongAnswer("Answer with the records themselves, as poll gave them.")
    return cast("list[ConsumerRecord]", records)


@check
def lag(answer: object, lab: Lab, topic: str, group: str) -> str:
    """Whether this is the lag of a consumer group now, over all partitions of a topic.

    Args:
        answer: A number of records.
        lab: The running lab.
        topic: The topic.
        group: The consumer group.
    """
    given = number(answer, "a lag")
    ends = {partition: end for partition, (_, end) in offset_range(lab.kafka, topic).items()}
    committed = committed_offsets(lab, group)
    lags = {partition: end - committed.get(partition, 0) for partition, end in ends.items()}
    right = sum(lags.values())
    if given == right:
        each = ", ".join(f"{behind} in partition {partition.partition}" for partition, behind in lags.items())
        return f"{right} records wait for the group: {each}."
    if given == sum(ends.values()):
        raise WrongAnswer("That is where the topic ends. How far has the group come?")
    if given == sum(committed.get(partition, 0) for partition in ends):
        raise WrongAnswer("That is how far the group has come. How much is behind it still?")
    if given in lags.values():
        raise WrongAnswer("That is the lag in one partition. The group is to read all of them.")
    if given == -right:
        raise WrongAnswer("The size is right, the sign is not: the end is ahead of the group.")
    raise WrongAnswer("It is another figure. For each partition: its end offset less what the group has committed.")


def committed_offsets(lab: Lab, group: str) -> dict[TopicPartition, int]:
    """The next offset that a consumer group will read, for each partition in which it has committed one.

    Raises:
        LabError: The broker is away.
    """
    try:
        # Untyped: the methods for groups are mixed in where a type checker cannot see them.
        admin: Any = KafkaAdminClient(bootstrap_servers=lab.kafka, **CLIENT)
    except KafkaError as error:
        raise LabError(f"no Kafka broker answers at {lab.kafka}", "labkit up") from error
    try:
        found = admin.list_group_offsets(group)[group]
    finally:
        admin.close()
    # Minus one says that the group has committed nothing there.
    return {partition: place.offset for partition, place in found.items() if place.offset >= 0}


@check
def idempotent(answer: object, lab: Lab, topic: str) -> str:
    """Whether a function leaves the right sum of ink in a store, also when records are delivered again after a crash.

    Args:
        answer: A function that takes the store, a dictionary, and a record.
        lab: The running lab.
        topic: A topic of digits.
    """
    if not callable(answer):
        raise WrongAnswer("Answer with a function of a store and a record: process, without brackets.")
    process = cast("Callable[[dict[Any, Any], ConsumerRecord], object]", answer)
    records = list(read_to_present_end(lab.kafka, topic))
    ink = sum(sum(record.value) for record in records)
    # The crash comes somewhere, and the last commit was somewhere before it.
    committed, crashed = sorted(random.sample(range(1, len(records)), 2))
    if _ink_in(process, records) != ink:
        raise WrongAnswer("Even where every record comes once, sum(store.values()) is not the ink of all digits.")
    redelivered = _ink_in(process, records[:crashed] + records[committed:])
    if redelivered > ink:
        raise WrongAnswer(
            f"After a crash, {crashed - committed} records came again, and the store has too much ink. "
            "Can the store tell that it has a record already?"
        )
    if redelivered < ink:
        raise WrongAnswer(
            "With another store the ink is missing. Does the function remember something outside the store? "
            "Only the store survives a crash."
        )
    return f"{crashed - committed} records came twice, and the store has each digit's ink once: {ink:,}."


def _ink_in(process: Callable[[dict[Any, Any], ConsumerRecord], object], records: Iterable[ConsumerRecord]) -> float:
    store: dict[Any, Any] = {}
    for record in records:
        try:
            process(store, record)
        except Exception as error:  # Whatever a learner's function raises is an answer to learn from.
            raise WrongAnswer(f"The function failed: {type(error).__name__}: {error}") from error
    return sum(number(value, "every value in the store") for value in store.values())


def _several(answer: object, what: str) -> list[object]:
    wanted = WrongAnswer(f"Several {what} are asked for: answer with a list of them.")
    if isinstance(answer, str | bytes | Mapping) or not isinstance(answer, Iterable):
        raise wanted
    try:
        # Bounded, so that an endless generator is an answer, too.
        return list(itertools.islice(cast("Iterable[object]", answer), MANY))
    except TypeError as error:  # NumPy's arrays without a dimension say only now that they cannot be gone through.
        raise wanted from error
