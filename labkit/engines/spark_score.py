"""The scoring job on Spark: Structured Streaming from the change events in Kafka to predictions in Kafka.

It runs in Spark's own environment. Each micro-batch is predicted on the executors by a vectorised pandas UDF, and its
predictions are written in one Kafka transaction. So after a crash the predictions topic holds whole micro-batches, and
says by itself up to which event: what Spark then hands out again is left out.
"""

# Spark's packages are in its own environment, not in the one that is checked.
# pyright: reportMissingImports=false

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kafka import KafkaProducer
from kafka.structs import TopicPartition
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import DataFrame
from pyspark.sql.functions import col
from pyspark.sql.functions import unix_millis as to_millis
from pyspark.sql.types import ArrayType, FloatType

from labkit.engines.child import run_as_child
from labkit.engines.lite import make_predict, read_current
from labkit.engines.options import JobOptions
from labkit.engines.spark_session import open_session, read_topics, run_until_told, start_query, tell_progress
from labkit.model.prediction import Prediction, recorded
from labkit.model.prediction_records import encode_prediction
from labkit.model.resume import resume_positions
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.events import decode_events
from labkit.stream.record import Record
from labkit.stream.topics import CLIENT

log = logging.getLogger("labkit.engines.spark")

BATCH_BYTES = 512 * 1024
"""For kafka-python's producer: a thousand predictions of some 400 bytes. Forty would fill one of its own 16 KiB, and
from then on each wakes the producer's thread."""

TRANSACTIONAL_ID = "labkit-scorer-spark"
"""Kafka ends what an earlier process of this name has left open, and refuses whatever that one still writes."""
AT_A_TIME = 512
"""Digits that the network gets at once."""


Answers = dict[tuple[int, int], Sequence[float]]
"""By partition and offset of a change event, ten probabilities."""


class SparkScorer:
    """Scores one micro-batch after the other.

    Args:
        options: The job's.
    """

    def __init__(self, options: JobOptions) -> None:
        self._options = options
        self._producer = KafkaProducer(
            bootstrap_servers=options.servers,
            transactional_id=TRANSACTIONAL_ID,
            batch_size=BATCH_BYTES,
            delivery_timeout_ms=30_000,
            request_timeout_ms=10_000,
            **CLIENT,
        )
        self._producer.init_transactions()
        # Only now: what an earlier process had left open has been ended.
        self.positions = resume_positions(options.servers)
        self._version, self._predict = "", None

    def score(self, batch: DataFrame, _number: int) -> None:
        """Predict a micro-batch and record its predictions, all of them or none."""
        version, predict = self._current_model()
        read_ms = time.time() * 1000
        records, answers = self._collect(batch, predict)
        predicted_ms = time.time() * 1000
        events = decode_events(records)
        predictions = [
            Prediction.of(
                event,
                () if event.pixels is None else answers[event.partition, event.offset],
                version,
                read_ms,
                predicted_ms,
            )
            for event in events
        ]
        self._record(predictions)
        self.positions |= {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}

    def close(self) -> None:
        """Let go of Kafka."""
        self._producer.close(timeout=1)

    def _collect(self, batch: DataFrame, predict: Callable[[str], Any]) -> tuple[list[Record], Answers]:
        """The records of a micro-batch that are not recorded yet, in order, and the probabilities of each."""
        columns = batch.select(
            "topic",
            "partition",
            "offset",
            to_millis(col("timestamp")).alias("timestamp"),
            "key",
            "value",
            "headers",
            predict("value").alias("probabilities"),
        )
        new = (
            row
            for row in columns.collect()
            if row.offset >= self.positions.get(TopicPartition(row.topic, row.partition), 0)
        )
        rows = sorted(new, key=lambda row: (row.partition, row.offset))
        answers = recorded([row.probabilities for row in rows])
        return [_as_record(row) for row in rows], {
            (row.partition, row.offset): answer for row, answer in zip(rows, answers, strict=True)
        }

    def _record(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions in one transaction."""
        if not predictions:
            return
        self._producer.begin_transaction()
        for prediction in predictions:
            self._producer.send(
                PREDICTIONS_TOPIC,
                key=str(prediction.row_id).encode(),
                value=encode_prediction(prediction),
                partition=prediction.partition,
            )
        self._producer.commit_transaction()

    def _current_model(self) -> tuple[str, Callable[[str], Any]]:
        version, model = read_current(self._options.models)
        if self._predict is None or version != self._version:
            # The model itself travels with the function, so that executors on other machines need no file.
            self._predict = predict_batch_udf(
                partial(make_predict, model), return_type=ArrayType(FloatType()), batch_size=AT_A_TIME
            )
            self._version = version
            log.info("scoring with model %s", version)
        return self._version, self._predict


def _as_record(row: Any) -> Record:
    headers = [(header.key, None if header.value is None else bytes(header.value)) for header in row.headers or ()]
    key, value = (None if part is None else bytes(part) for part in (row.key, row.value))
    return Record(row.topic, row.partition, row.offset, row.timestamp, key, value, headers)


def run(options: JobOptions, stop: threading.Event) -> None:
    """Score until told to stop, beginning where the predictions topic ends.

    Raises:
        LabError: A topic is missing, the broker is away, or Spark has ended the job.
    """
    scorer = SparkScorer(options)
    spark = open_session(options, "scoring digits", shuffle_partitions=2, most_parallel=len(scorer.positions))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", AT_A_TIME)
    query = start_query(read_topics(spark, options, scorer.positions), scorer.score, options)
    log.info("scoring on Spark at %s", options.place.master)
    try:
        run_until_told(query, stop, lambda: tell_progress(query, options))
    finally:
        tell_progress(query, options)
        scorer.close()
        spark.stop()


if __name__ == "__main__":
    run_as_child(run, JobOptions)
