"""Quix Streams as the scorer, as a process of the benchmark, in the peers' environment."""
# pyright: reportMissingImports=false

import logging
from typing import Any

from quixstreams import Application

from benchmarks.ways.child import tell, told
from benchmarks.ways.peer_scoring import PeerScoring
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.events import decode_event
from labkit.stream.record import Record


def main() -> None:
    """Score without end."""
    where = told()
    scoring = PeerScoring(where)
    app = Application(
        broker_address=where.kafka,
        consumer_group="quix",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel=logging.WARNING,
    )
    events = app.topic(where.topic, key_deserializer="bytes", value_deserializer="bytes")
    predictions = app.topic(PREDICTIONS_TOPIC, key_serializer="bytes", value_serializer="bytes")

    def predict(value: bytes, key: bytes, timestamp: int, headers: Any) -> bytes:
        event = decode_event(Record(where.topic, 0, 0, timestamp, key, value, headers))
        ((_, prediction),) = scoring.encoded([event])
        return prediction

    stream = app.dataframe(events).apply(predict, metadata=True)
    stream.to_topic(predictions)
    tell(rows=0)
    app.run()


if __name__ == "__main__":
    main()
