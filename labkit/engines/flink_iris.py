"""Iris on Flink: from the iris topics, through a checkpointed keyed function, predictions back to Kafka.

It runs in Flink's own environment. Flink ML, which has an online k-means, exists for no Flink that this Python can run;
so the function applies Spark's published rule, see `labkit.online.kmeans`. Its state, the centres and the rows that
wait for the end of their transaction, is part of Flink's checkpoints, as are the offsets and the Kafka transaction of
what it has written. After a crash the job goes on from the newest checkpoint, and nothing is learned twice.
"""

# Flink's packages are in their own environment, not in the one that is checked.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from kafka.structs import TopicPartition
from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

from labkit.engines.child import run_as_child
from labkit.engines.flink_savepoint import forget_states, newest_state
from labkit.engines.flink_session import clear_the_way, open_environment, run_until_told, tell_progress
from labkit.engines.lag import Lag, forget_group
from labkit.engines.options import IrisOptions
from labkit.engines.transactions import end_transactions
from labkit.errors import LabError
from labkit.online.events import SOURCES
from labkit.online.kmeans import Unit
from labkit.online.learner import START, IrisLearner, RuleClusterer
from labkit.online.records import CENTRES_TOPIC, LEARNED, PREDICTION, PREDICTIONS_TOPIC, read_learned

log = logging.getLogger("labkit.engines.flink_iris")

GROUP = "labkit-iris-flink"
TRANSACTIONS = "labkit-iris-flink-"
"""How the names of its Kafka transactions begin; each run adds its own number."""
BEGIN_ANEW = "stream.clear(), then stream.setup(), of labkit.online.stream.IrisStream"
RECORDS = """
CREATE TABLE records (
    `value` BYTES,
    `topic` STRING METADATA VIRTUAL,
    `offset` BIGINT METADATA VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = '{topics}',
    'properties.bootstrap.servers' = '{servers}',
    'properties.group.id' = '{group}',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    'value.format' = 'raw'
)
"""
RESULTS = """
CREATE TABLE results (
    `value` STRING,
    `topic` STRING METADATA
) WITH (
    'connector' = 'kafka',
    'topic' = '{topics}',
    'properties.bootstrap.servers' = '{servers}',
    'properties.transaction.timeout.ms' = '600000',
    'sink.delivery-guarantee' = 'exactly-once',
    'sink.transactional-id-prefix' = '{transactions}',
    'value.format' = 'raw'
)
"""


class LearnIris(KeyedProcessFunction):
    """From records of the iris topics to predictions and centres. All have one key: there is one set of centres.

    Args:
        options: The job's: decay and its unit.
    """

    def __init__(self, options: IrisOptions) -> None:
        self._decay = options.decay
        self._unit: Unit = options.unit
        self._state: Any = None

    def open(self, runtime_context: Any) -> None:
        """Called in the worker: its state comes from the checkpoint that the job goes on from."""
        descriptor = ValueStateDescriptor("learner", Types.PICKLED_BYTE_ARRAY())
        self._state = runtime_context.get_state(descriptor)

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        """Take one record, and learn and predict what it completes."""
        learner: IrisLearner = self._state.value() or IrisLearner(
            RuleClusterer(START.clusters, self._decay, self._unit)
        )
        learner.take(value.topic, value.offset, value.value)
        for step in learner.steps():
            for prediction in step.predictions:
                yield Row(PREDICTION.dump_json(prediction).decode(), PREDICTIONS_TOPIC)
            yield Row(LEARNED.dump_json(step.learned).decode(), CENTRES_TOPIC)
        self._state.update(learner)


def run(options: IrisOptions, stop: threading.Event) -> None:
    """Learn until told to stop.

    Raises:
        LabError: There is no checkpoint of what was learned, or it is of another version; or Flink has ended the job.
    """
    folder = options.checkpoint.parent
    clear_the_way(options, folder)
    options.checkpoint.mkdir(parents=True, exist_ok=True)
    learned = read_learned(options.servers)
    if not learned:
        # Nothing was learned, or the tables were cleared away since: an old checkpoint would be of other topics.
        end_transactions(options.servers, TRANSACTIONS)
        forget_states(folder)
        forget_group(options.servers, GROUP)
    state = newest_state(folder, BEGIN_ANEW)
    if learned and state is None:
        raise LabError(
            f"{learned[-1].rows} training rows are learned already, and Flink has no checkpoint of that: it would "
            "learn them twice",
            f"go on with the engine that learned them, or begin anew: {BEGIN_ANEW}",
        )
    tables = StreamTableEnvironment.create(open_environment(options, folder, state, most_parallel=1))
    tables.execute_sql(RECORDS.format(topics=";".join(SOURCES), servers=options.servers, group=GROUP))
    names = f"{TRANSACTIONS}{time.time_ns() // 1_000_000}"
    topics = f"{PREDICTIONS_TOPIC};{CENTRES_TOPIC}"
    tables.execute_sql(RESULTS.format(topics=topics, servers=options.servers, transactions=names))
    results = (
        tables.to_data_stream(tables.from_path("records"))
        .key_by(lambda _: 0, Types.INT())
        .process(LearnIris(options), Types.ROW_NAMED(["value", "topic"], [Types.STRING(), Types.STRING()]))
    )
    with closing(Lag(options.servers, GROUP, {TopicPartition(topic, 0): 0 for topic in SOURCES})) as lag:
        client = tables.from_data_stream(results).execute_insert("results").get_job_client()
        log.info("learning on Flink at %s%s", options.place.master, f", from {state}" if state else "")
        run_until_told(client, folder, stop, tell=lambda: tell_progress(options, lag))


if __name__ == "__main__":
    run_as_child(run, IrisOptions)
