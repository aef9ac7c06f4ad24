"""Iris on Spark: Structured Streaming from the iris topics, Spark's own StreamingKMeans, predictions back to Kafka.

It runs in Spark's own environment. What a micro-batch led to, the predictions and the centres with the offsets up to
which they were learned, is written in one Kafka transaction. So after a crash the centres in Kafka say by themselves
where to go on, and nothing is learned twice. What is a mini-batch is not left to Spark's micro-batches, which end when
they end: it is a transaction in PostgreSQL, see `labkit.online.learner`.
"""

# Spark's packages are in its own environment, not in the one that is checked.
# pyright: reportMissingImports=false

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from kafka import KafkaProducer
from kafka.structs import TopicPartition
from pyspark import SparkContext
from pyspark.mllib.clustering import StreamingKMeansModel
from pyspark.mllib.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

from labkit.engines.child import run_as_child
from labkit.engines.options import IrisOptions
from labkit.engines.spark_session import open_session, read_topics, run_until_told, start_query, tell_progress
from labkit.online.events import SOURCES
from labkit.online.kmeans import Clusters
from labkit.online.learner import START, IrisLearner, Step
from labkit.online.records import CENTRES_TOPIC, LEARNED, PREDICTION, PREDICTIONS_TOPIC, Learned, read_learned
from labkit.stream.topics import CLIENT

log = logging.getLogger("labkit.engines.spark_iris")

TRANSACTIONAL_ID = "labkit-iris-spark"
"""Kafka ends what an earlier process of this name has left open, and refuses whatever that one still writes."""


class SparkClusterer:
    """Spark's own streaming k-means.

    Args:
        context: Spark.
        clusters: Where it starts.
        options: Decay and its unit.
    """

    def __init__(self, context: SparkContext, clusters: Clusters, options: IrisOptions) -> None:
        self._context, self._options = context, options
        centres = [Vectors.dense(centre) for centre in clusters.centres.tolist()]
        self._model: Any = StreamingKMeansModel(centres, clusters.weights.tolist())

    @property
    def clusters(self) -> Clusters:
        """Centres and weights now."""
        return Clusters(np.array(self._model.centers), np.array(self._model.clusterWeights))

    def learn(self, points: Sequence[tuple[float, ...]]) -> None:
        """Learn a mini-batch."""
        # One partition: the order in which Spark adds the parts of several would not be the same each time.
        rows = self._context.parallelize([Vectors.dense(point) for point in points], 1)
        self._model.update(rows, self._options.decay, self._options.unit)

    def nearest(self, points: Sequence[tuple[float, ...]]) -> Sequence[int]:
        """The cluster of each point."""
        return [int(self._model.predict(Vectors.dense(point))) for point in points]


class SparkIris:
    """Learns and predicts one micro-batch after the other.

    Args:
        spark: Spark.
        options: The job's.

    Raises:
        LabError: A topic is missing, or the broker is away.
    """

    def __init__(self, spark: SparkSession, options: IrisOptions) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=options.servers,
            transactional_id=TRANSACTIONAL_ID,
            delivery_timeout_ms=30_000,
            request_timeout_ms=10_000,
            **CLIENT,
        )
        self._producer.init_transactions()
        # Only now: what an earlier process had left open has been ended.
        self.learned: Learned = (read_learned(options.servers) or [START])[-1]
        clusterer = SparkClusterer(spark.sparkContext, self.learned.clusters, options)
        self._learner = IrisLearner(clusterer, self.learned)

    def take(self, batch: DataFrame, _number: int) -> None:
        """Learn and predict what a micro-batch completes, and record all of it or nothing."""
        rows = batch.select("topic", "offset", "value").collect()
        # Sorted here: within foreachBatch Spark's own sorting would read the topics a second time.
        for row in sorted(rows, key=lambda row: (row.topic, row.offset)):
            self._learner.take(row.topic, row.offset, None if row.value is None else bytes(row.value))
        self._record(self._learner.steps())

    def close(self) -> None:
        """Let go of Kafka."""
        self._producer.close(timeout=1)

    def _record(self, steps: Sequence[Step]) -> None:
        if not steps:
            return
        self._producer.begin_transaction()
        for step in steps:
            for prediction in step.predictions:
                key = str(prediction.row_id).encode()
                self._producer.send(PREDICTIONS_TOPIC, key=key, value=PREDICTION.dump_json(prediction), partition=0)
            self._producer.send(CENTRES_TOPIC, value=LEARNED.dump_json(step.learned), partition=0)
        self._producer.commit_transaction()
        self.learned = steps[-1].learned


def run(options: IrisOptions, stop: threading.Event) -> None:
    """Learn until told to stop, beginning behind what the centres in Kafka have learned.

    Raises:
        LabError: A topic is missing, the broker is away, or Spark has ended the job.
    """
    spark = open_session(options, "learning iris", shuffle_partitions=1, most_parallel=1)
    job = SparkIris(spark, options)
    positions = {TopicPartition(topic, 0): job.learned.positions.get(topic, 0) for topic in SOURCES}
    query = start_query(read_topics(spark, options, positions), job.take, options)
    log.info("learning on Spark at %s, behind %d training rows", options.place.master, job.learned.rows)
    try:
        run_until_told(query, stop, lambda: tell_progress(query, options))
    finally:
        job.close()
        spark.stop()


if __name__ == "__main__":
    run_as_child(run, IrisOptions)
