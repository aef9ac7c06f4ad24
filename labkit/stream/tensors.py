"""Kafka topics as tf.data datasets, in forms that lose nothing on Kafka 4.

tensorflow-io 0.37 brings librdkafka 1.5, which asks for ListOffsets version 0; Kafka 4 no longer answers that. So
`auto.offset.reset` hangs without a word, and `IODataset.from_kafka` cannot work. What does work: tell the group where
to start before the dataset is made (`start_group`), then use `KafkaGroupIODataset` as it is.

More traps of `KafkaGroupIODataset`, all met by `group_dataset`:

- It reads in batches of 1,024 and drops the last one when that ends on its time-out.
- Two of them in one process share one consumer, because TensorFlow caches the unnamed resource they make: the second
  takes the first one's records. Setting a random seed clears that cache, and the consumer is gone.
- A tombstone arrives as an empty message, which `tf.io.decode_csv` rejects.
"""

import uuid
import weakref
from collections.abc import Iterator
from typing import Any, Literal

import tensorflow as tf
from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from labkit.errors import LabError
from labkit.stream.reading import count_records, read_to_present_end
from labkit.stream.topics import offset_range

Start = Literal["earliest", "latest"]

POLL_TIMEOUT_MS = 1000
"""How long one poll waits, milliseconds: silence is noticed in steps of this."""


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
    group = group_id or f"labkit-{uuid.uuid4().hex[:12]}"
    start_group(servers, topic, group, start)
    bounded = until_present_end and start == "earliest"
    records, tombstones = count_records(servers, topic) if bounded else (0, 0)
    dataset: Any = _kafka_dataset(servers, topic, group, stream_timeout_ms)
    if bounded:
        dataset = dataset.take(records)
    dataset = dataset.filter(_is_record)
    if bounded:
        # Known length: a progress bar has an end, and a stream that stops short is an error and no silent loss.
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(records - tombstones))
    return dataset


def _is_record(message: Any, key: Any) -> Any:
    del key
    return tf.strings.length(message) > 0


def _kafka_dataset(servers: str, topic: str, group: str, stream_timeout_ms: int) -> tf.data.Dataset:
    """What ``KafkaGroupIODataset`` does with tensorflow-io's operations, with a consumer of its own.

    Source: tensorflow_io/python/experimental/kafka_group_io_dataset_ops.py, whose class names no resource.
    """
    # Imported where it is used: its native libraries take half a second, which the scorer does not need.
    from tensorflow_io.python.ops import core_ops

    consumer = core_ops.io_kafka_group_readable_init(
        topics=[topic],
        metadata=[
            "session.timeout.ms=10000",
            "max.poll.interval.ms=10000",
            # A batch of one is handed over at once: none is left to be dropped when the stream falls silent.
            "batch.num.messages=1",
            f"group.id={group}",
            f"bootstrap.servers={servers}",
        ],
        shared_name=f"{group}-{uuid.uuid4().hex}",
    )

    def read_next(index: tf.Tensor) -> Any:
        return core_ops.io_kafka_group_readable_next(
            input=consumer,
            index=index,
            message_poll_timeout=min(stream_timeout_ms, POLL_TIMEOUT_MS),
            stream_timeout=stream_timeout_ms,
        )

    batches = tf.data.Dataset.counter().map(read_next).take_while(lambda batch: batch.continue_fetch > 0)
    # A named resource lives on until it is destroyed: leave the group once nobody can read any more.
    weakref.finalize(batches, tf.raw_ops.DestroyResourceOp, resource=consumer)
    return batches.map(lambda batch: (batch.message, batch.key)).unbatch()


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
