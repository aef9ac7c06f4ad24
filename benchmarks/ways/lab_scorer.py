"""The lab's own way: Debezium, the bytes route in Kafka, the lab's scorer."""

from benchmarks.ways.way import Recorded


class Bytes(Recorded):
    """Through Kafka Connect, as the lab does by default."""

    name = "bytes"
    title = "labkit: Debezium in Kafka Connect, raw bytes, labkit's scorer"
    by_labs_scorer = True

    def start(self) -> None:
        """Capture the one route, and score."""
        self.lab.capture("bytes")
        self.lab.start_scorer()


class Server(Bytes):
    """Through Debezium Server."""

    name = "server"
    title = "labkit with Debezium Server in place of Kafka Connect"
    capture = "server"
