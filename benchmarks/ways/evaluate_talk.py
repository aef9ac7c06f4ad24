"""The talk's way to read a stream, line by line, as a process of the benchmark."""

from typing import Any

import tensorflow_io as tfio

from benchmarks.ways.child import BATCH, Where, told
from benchmarks.ways.evaluating import evaluate, published_model
from labkit.model.network import decode_csv_record
from labkit.stream.tensors import start_group

GROUP = "talk"


def talks_stream(place: Where) -> Any:
    """The talk's dataset of messages and keys, without end."""
    # Kafka 4 does not answer tensorflow-io's librdkafka when it asks where a topic begins: it is told beforehand.
    start_group(place.kafka, place.topic, GROUP)
    return tfio.experimental.streaming.KafkaGroupIODataset(
        topics=[place.topic],
        group_id=GROUP,
        servers=place.kafka,
        stream_timeout=3_600_000,
        configuration=["session.timeout.ms=10000", "max.poll.interval.ms=10000", "auto.offset.reset=earliest"],
    )


if __name__ == "__main__":
    place = told()
    network = published_model(place)
    evaluate(network, talks_stream(place).map(decode_csv_record).batch(BATCH))
