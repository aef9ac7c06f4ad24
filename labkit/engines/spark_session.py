"""A Spark job's frame: its session, here or on a cluster, the topics that it reads, and how it ends."""

# Spark's packages are in their own environment, not in the one that is checked.
# pyright: reportMissingImports=false

import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping

from kafka.structs import TopicPartition
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from labkit.engines.options import WORKER_PYTHON, EngineOptions
from labkit.engines.progress import Progress
from labkit.engines.shipped import ship_labkit
from labkit.errors import LabError

JAVA_OPTIONS = "-Xss8m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""When a micro-batch fails, Spark searches Python's whole error text with a regular expression that recurses at each
character: the usual megabyte of stack overflows, and nobody learns why it failed. A job's work is done in Python
for the most part: Java's strong compiler and its parallel collector would cost more at the start than they bring."""
LOOK_S = 0.5


def open_session(options: EngineOptions, name: str, *, shuffle_partitions: int, most_parallel: int) -> SparkSession:
    """Spark for one job, with what it needs to read Kafka.

    On a cluster the workers get this labkit and its jars from here; the packages of ``labkit/engines/spark.txt`` have
    to be in their own Python.

    Args:
        options: The job's.
        name: What Spark's pages call it.
        shuffle_partitions: How many parts a shuffled table has.
        most_parallel: How many can share the work: a Kafka partition is read by one. Of a cluster no more is taken,
            unless that is asked for: it would be kept from other jobs.
    """
    local = options.place.is_here
    cores = str(options.place.parallelism or most_parallel)
    if not local:
        os.environ |= {"PYSPARK_DRIVER_PYTHON": os.environ["PYSPARK_PYTHON"], "PYSPARK_PYTHON": WORKER_PYTHON}
    spark = (
        SparkSession.builder.master(options.place.master)
        .appName(f"labkit: {name}")
        .config("spark.jars", ",".join(map(str, options.jars)))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "512m")
        .config("spark.driver.extraJavaOptions", JAVA_OPTIONS)
        .config("spark.executor.memory", "512m")
        .config("spark.cores.max", cores)  # Of Spark's own cluster; of YARN and Kubernetes the next line counts.
        .config("spark.executor.instances", cores)
        .config("spark.sql.shuffle.partitions", str(shuffle_partitions))
        # A micro-batch leaves two small files; a lab needs no long past of them.
        .config("spark.sql.streaming.minBatchesToRetain", "10")
        .config("spark.sql.streaming.metricsEnabled", "false")
        # By default an idle job asks Kafka a hundred times a second, for a third of a core.
        .config("spark.sql.streaming.pollingDelay", "100ms")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    if not local:
        # A cluster whose cores are taken is waited for: this one says so, every quarter of a minute.
        log4j = spark.sparkContext._jvm.org.apache.logging.log4j
        waiting = "org.apache.spark.scheduler.TaskSchedulerImpl"
        log4j.core.config.Configurator.setLevel(waiting, log4j.Level.WARN)
        spark.sparkContext.addPyFile(ship_labkit(options.checkpoint.parent))
    return spark


def read_topics(spark: SparkSession, options: EngineOptions, positions: Mapping[TopicPartition, int]) -> DataFrame:
    """Records of Kafka as they come, those of aborted transactions left out.

    Args:
        spark: Spark.
        options: The job's.
        positions: Where to begin: every partition of every topic.
    """
    starting: dict[str, dict[str, int]] = {}
    for place, offset in positions.items():
        starting.setdefault(place.topic, {})[str(place.partition)] = offset
    return (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", options.servers)
        .option("kafka.isolation.level", "read_committed")
        .option("subscribe", ",".join(starting))
        .option("startingOffsets", json.dumps(starting))
        .option("includeHeaders", "true")
        .option("maxOffsetsPerTrigger", options.most_at_once)
        .load()
    )


def start_query(records: DataFrame, take: Callable[[DataFrame, int], None], options: EngineOptions) -> StreamingQuery:
    """Hand each micro-batch to a function.

    What is recorded in Kafka is authoritative: an earlier checkpoint could only be behind it, damaged, or of another
    version of Spark. So each start begins a new one.
    """
    shutil.rmtree(options.checkpoint, ignore_errors=True)
    return records.writeStream.foreachBatch(take).option("checkpointLocation", str(options.checkpoint)).start()


def tell_progress(query: StreamingQuery, options: EngineOptions) -> None:
    """Write down how a job is; of several topics it tells the lag of the one that is furthest behind."""
    last = query.lastProgress
    lag = None if last is None else int(last["sources"][0]["metrics"].get("maxOffsetsBehindLatest", 0))
    # A finished micro-batch leaves a file among the commits; before the first, the run's own beginning counts.
    places = (options.checkpoint, options.checkpoint / "commits")
    noted = max((place.stat().st_mtime for place in places if place.is_dir()), default=0.0)
    Progress(lag=lag, checkpoint_s=noted).write(options.progress)


def run_until_told(query: StreamingQuery, stop: threading.Event, tell: Callable[[], None]) -> None:
    """Tell how the job is until told to stop; then stop it.

    Args:
        query: The running job.
        stop: Set to end it.
        tell: Called twice a second meanwhile.

    Raises:
        LabError: The job has ended by itself.
    """
    while query.isActive and not stop.wait(LOOK_S):
        tell()
    if query.isActive:
        query.stop()
    elif not stop.is_set():
        error = str(query.exception() or "it does not say why").strip()
        raise LabError(f"Spark's job has ended: {error.splitlines()[0]}", "the lines above say more")
