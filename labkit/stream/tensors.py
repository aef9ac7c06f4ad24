"""Kafka topics as tf.data datasets, in forms that lose nothing on Kafka 4.

tensorflow-io 0.37 brings librdkafka 1.5, which asks for ListOffsets version 0; Kafka 4 no longer answers that. So
`auto.offset.reset` hangs without a word, and `IODataset.from_kafka` cannot work. What does work: tell the group where
to start before the dataset is made (`start_group`), then use `KafkaGroupIODataset` as it is.

Three more traps of `KafkaGroupIODataset`, all met by `group_dataset`: it reads in batches of 1,024 and drops the last
one when that ends on its time-out; its end-of-partition counters are shared by all datasets of a process; and a
tombstone arrives as an empty message, which `tf.io.decode_csv` rejects.
"""

import uuid
from collections.abc import Iterator
from typing import Literal

import tensorflow as tf
from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from labkit.errors import LabError
from labkit.stream.reading import count_records, read_to_present_end
from labkit.stream.topics import offset_range

Start = Literal["earliest", "latest"]


def start_group(servers: str, topic: str, group_id: str, start: Start = "earliest") -> None:
    """Commit where a consumer group shall start reading a topic.

    Args:
        servers: Kafka's bootstrap servers, ``host:port``.
        topic: The topic.
        group_id: The consumer group; nobody may be reading in it.
        start: ``earliest`` for all that is there, ``latest`` for what comes from now on.

    Raises:
        LabError: No such topic, an unknown start, the broker is away, or the group is being read in.
    """
    if start not in ("earliest", "latest"):
        raise LabError(f"a stream starts at 'earliest' or 'latest', not at {start!r}", "choose one of them")
    ranges = offset_range(servers, topic)
    consumer = KafkaConsumer(bootstrap_servers=servers, group_id=group_id, enable_auto_commit=False)
    try:
        consumer.assign(list(ranges))
        offsets = {
            partition: OffsetAndMetadata(first if start == "earliest" else end, "", -1)
            for partition, (first, end) in ranges.items()
        }
        consumer.commit(offsets)
    except KafkaError as error:
        raise LabError(
            f"the start of group {group_id!r} cannot be set while somebody reads in it",
            "wait ten seconds until the reader before has left, or choose another group",
        ) from error
    finally:
        consumer.close()


def group_dataset(
    servers: str,
    topic: str,
    *,
    group_id: str | None = None,
    start: Start = "earliest",
    until_present_end: bool = True,
    stream_timeout_ms: int = 10_000,
) -> tf.data.Dataset:
    """A topic through tensorflow-io's ``KafkaGroupIODataset``, nothing lost.

    Args:
        servers: Kafka's bootstrap servers, ``host:port``.
        topic: The topic.
        group_id: Consumer group; a new one by default, so that every dataset reads for itself.
        start: ``earliest`` or ``latest``.
        until_present_end: End after the records that are there now; else after ``stream_timeout_ms`` of silence.
        stream_timeout_ms: Silence after which the stream counts as ended, milliseconds.

    Returns:
        Pairs ``(message, key)`` of scalar strings, without tombstones. It can be iterated once: `cache` it to train
        for several epochs.

    Raises:
        LabError: No such topic, or the broker is away.
    """
    # Imported where it is used: its native libraries take 0.4 s and 15 MB, which the scorer does not need.
    import tensorflow_io as tfio

    # tensorflow-io's own code uses two functions that TensorFlow has moved since, and says so each time.
    tf.get_logger().setLevel("ERROR")
    group = group_id or f"labkit-{uuid.uuid4().hex[:12]}"
    start_group(servers, topic, group, start)
    bounded = until_present_end and start == "earliest"
    records, tombstones = count_records(servers, topic) if bounded else (0, 0)
    dataset: tf.data.Dataset = tfio.experimental.streaming.KafkaGroupIODataset(
        topics=[topic],
        group_id=group,
        servers=servers,
        stream_timeout=stream_timeout_ms,
        message_poll_timeout=min(stream_timeout_ms, 1000),
        # A batch of one is handed over at once: none is left to be dropped when the stream falls silent.
        configuration=["session.timeout.ms=10000", "max.poll.interval.ms=10000", "batch.num.messages=1"],
    )
    if bounded:
        dataset = dataset.take(records)
    dataset = dataset.filter(lambda message, key: tf.strings.length(message) > 0)
    if bounded:
        # Known length: a progress bar has an end, and a stream that stops short is an error and no silent loss.
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(records - tombstones))
    return dataset


def bounded_dataset(servers: str, topic: str) -> tf.data.Dataset:
    """A topic from its first record to the one that is last now, read with kafka-python.

    In place of ``tfio.IODataset.from_kafka``, which Kafka 4 does not answer. It can be iterated again and again; each
    time it ends where the topic ends then.

    Returns:
        Pairs ``(message, key)`` of scalar strings, without tombstones.

    Raises:
        LabError: No such topic, or the broker is away.
    """
    offset_range(servers, topic)

    def records() -> Iterator[tuple[bytes, bytes]]:
        for record in read_to_present_end(servers, topic):
            if record.value:
                yield record.value, record.key or b""

    spec = tf.TensorSpec((), tf.string)
    return tf.data.Dataset.from_generator(records, output_signature=(spec, spec))
