"""Iris on the real servers: tables, capture, Spark's own streaming k-means and the rule on Flink, killed, too."""

import re
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import psycopg
import pytest
from kafka import KafkaProducer

from labkit import Lab, LabError
from labkit.capture.configs import load_config
from labkit.engines.catalog import PACKAGES
from labkit.engines.environment import EngineEnvironment
from labkit.engines.iris_job import LIKE, IrisEngine, iris_log, job_name, learn_iris
from labkit.online.events import SOURCES, TEST_TABLE, TRAIN_TABLE, TRAIN_TOPIC
from labkit.online.iris import Flowers, hold_out, load_flowers, split
from labkit.online.learner import START, IrisLearner, RuleClusterer, Step
from labkit.online.matching import count_right
from labkit.online.records import IrisPrediction, Learned, read_iris_predictions, read_learned
from labkit.online.stream import IrisStream
from labkit.stream.reading import read_to_present_end
from labkit.stream.topics import CLIENT
from tests.labs import side_job_note

PATIENCE_S = 240.0
GOES_ON: dict[IrisEngine, str] = {"flink": "from file:", "spark": r"learning on Spark .* behind [1-9]\d* training rows"}
"""What the log of a job says that goes on."""


@pytest.fixture(scope="module")
def iris_lab(lab: Lab) -> Iterator[Lab]:
    """The running lab, and both engines installed."""
    for packages in PACKAGES.values():
        EngineEnvironment(packages, lab.settings).install()
    yield lab
    for engine in LIKE:
        log_file = iris_log(lab.settings, engine)
        print(log_file.read_text()[-5000:] if log_file.is_file() else f"no job has run on {engine}")


@pytest.fixture
def stream(iris_lab: Lab) -> Iterator[IrisStream]:
    stream = IrisStream(iris_lab.endpoints, iris_lab.settings)
    stream.clear()
    stream.setup()
    yield stream
    stream.clear()
    assert stream.things() == []


def by_the_rule(lab: Lab) -> list[Step]:
    """What the rule makes of the topics, whatever the engine did with them."""
    learner = IrisLearner(RuleClusterer(START.clusters))
    for topic in SOURCES:
        for record in read_to_present_end(lab.kafka, topic):
            learner.take(topic, record.offset, record.value)
    return learner.steps()


def assert_equal_to_the_rule(lab: Lab) -> tuple[list[Learned], list[IrisPrediction]]:
    """Nothing is missing, learned twice or predicted twice, and the engine's centres are the rule's to 1e-9."""
    steps, learned, predictions = by_the_rule(lab), read_learned(lab.kafka), read_iris_predictions(lab.kafka)
    assert [found.transaction for found in learned] == [step.learned.transaction for step in steps]
    assert [(found.version, found.rows, found.positions) for found in learned] == [
        (step.learned.version, step.learned.rows, step.learned.positions) for step in steps
    ]
    for found, step in zip(learned, steps, strict=True):
        np.testing.assert_allclose(found.centres, step.learned.centres, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.weights, step.learned.weights, rtol=0, atol=1e-9)
    assert predictions == [prediction for step in steps for prediction in step.predictions]
    return learned, predictions


@pytest.mark.parametrize("engine", ["spark", pytest.param("flink", marks=pytest.mark.on_demand)])
def test_the_example_runs_from_postgresql_to_predictions_in_kafka(
    iris_lab: Lab, stream: IrisStream, engine: IrisEngine
) -> None:
    lab, parts = iris_lab, split(load_flowers(), 0)
    course, rows = [], 0
    with learn_iris(engine, lab.kafka, lab.settings) as job:
        for flowers in (parts.first, parts.rest, parts.rest):
            stream.insert(flowers)
            rows += len(flowers)
            learned = stream.wait_learned(rows, PATIENCE_S)
            told = stream.wait_predicted(stream.insert(parts.test, TEST_TABLE), PATIENCE_S)
            assert {(prediction.version, prediction.rows) for prediction in told} == {(learned.version, rows)}
            assert [prediction.label for prediction in told] == parts.test.labels.tolist()
            course.append(count_right([prediction.cluster for prediction in told], parts.test.labels, 3))
        assert job.poll() is None, "all of it in one run"
        told = r"lag 0, checkpoint \d+ s ago"
        wait_for(lambda: re.fullmatch(told, side_job_note(lab, job_name(engine))) is not None, "status tells")
    assert not side_job_note(lab, job_name(engine)), "it runs no more"
    learned_all, predictions = assert_equal_to_the_rule(lab)
    assert len(learned_all) == 6 and len(predictions) == 33
    assert sum(learned_all[-1].weights) == pytest.approx(277)
    assert course == [8, 8, 8]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def command(process: psutil.Process) -> list[str]:
    """Its command line; empty where it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.timeout(1200)  # An engine starts three times, and a busy machine takes a minute for each.
@pytest.mark.on_demand
@pytest.mark.parametrize("engine", ["spark", "flink"])
def test_killed_in_the_middle_nothing_is_learned_twice(iris_lab: Lab, stream: IrisStream, engine: IrisEngine) -> None:
    lab = iris_lab
    training, test = hold_out(load_flowers())
    order = np.random.default_rng(4).permutation(len(training))
    batches = [training.take(rows) for rows in np.array_split(order, 24)]
    inserted = 0

    def insert(some: list[Flowers]) -> None:
        nonlocal inserted
        for batch in some:
            stream.insert(batch)
            stream.insert(test, TEST_TABLE)
            inserted += 2

    with learn_iris(engine, lab.kafka, lab.settings) as job:
        insert(batches[:4])
        stream.wait_learned(sum(map(len, batches[:4])), PATIENCE_S)
        insert(batches[4:12])
        before = len(read_learned(lab.kafka))
        family = psutil.Process(job.pid).children(recursive=True)
        job.kill()
        job.wait()
    assert not psutil.wait_procs(family, timeout=30)[1], "nothing of the old job is left"
    assert before >= 8
    insert(batches[12:16])
    with learn_iris(engine, lab.kafka, lab.settings) as job:
        wait_for(lambda: len(read_learned(lab.kafka)) >= inserted, "the successor goes on")
        children = psutil.Process(job.pid).children(recursive=True)
        (java,) = [process for process in children if "/java" in "".join(command(process)[:1])]
        insert(batches[16:20])
        java.kill()  # Its Java alone: the job ends with it.
        assert job.wait(60) != 0
    with learn_iris(engine, lab.kafka, lab.settings):
        insert(batches[20:])
        wait_for(lambda: len(read_learned(lab.kafka)) >= inserted, "all transactions are learned")
    learned, predictions = assert_equal_to_the_rule(lab)
    assert [found.version for found in learned[::2]] == list(range(1, 25))
    assert learned[-1].rows == 139 and sum(learned[-1].weights) == pytest.approx(139)
    assert len({prediction.row_id for prediction in predictions}) == len(predictions) == 24 * 11
    text = iris_log(lab.settings, engine).read_text()
    assert len(re.findall(GOES_ON[engine], text)) == 2, "each successor goes on from a checkpoint"


@pytest.mark.parametrize("engine", ["flink"])  # What decides is the same code on both.
def test_what_is_no_flower_is_passed_over_with_a_line_in_the_log(
    iris_lab: Lab, stream: IrisStream, engine: IrisEngine
) -> None:
    lab = iris_lab
    flowers = load_flowers().take(np.arange(45, 55))
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute("ALTER TABLE iris_train DROP CONSTRAINT iris_train_petal_width_check")
        connection.execute(
            "INSERT INTO iris_train (sepal_length, sepal_width, petal_length, petal_width, label) VALUES "
            "(5, 3, 1, 0.2, 0), (5, 3, 1, 'NaN', 0), (5, 3, 1, -1, 0)"
        )
        connection.execute("UPDATE iris_train SET label = 1 WHERE petal_width = 0.2")
        connection.execute("DELETE FROM iris_train WHERE petal_width = -1")
    producer = KafkaProducer(bootstrap_servers=lab.kafka, **CLIENT)
    for value in (b"no json", b'{"sepal_length": 5.0}', None):
        producer.send(TRAIN_TOPIC, value, key=b"of nobody").get(10)
    producer.close()
    stream.insert(flowers)
    with learn_iris(engine, lab.kafka, lab.settings):
        assert stream.wait_learned(11, PATIENCE_S).rows == 11
    assert_equal_to_the_rule(lab)
    text = iris_log(lab.settings, engine).read_text()
    assert len(re.findall(r"iris_train@\d+ is no flower and is passed over: petal_width", text)) == 2
    assert len(re.findall(r"iris_train@\d+ inserts nothing and is passed over", text)) == 2
    assert len(re.findall(r"iris_train@\d+ is not of the iris tables", text)) == 3


@pytest.mark.parametrize(
    ("features", "label"),
    [([5, 3, 1, np.nan], 0), ([5, 3, 1, np.inf], 0), ([5, 3, 0, 0.2], 0), ([5, 300, 1, 0.2], 0), ([5, 3, 1, 0.2], 3)],
)
def test_the_tables_refuse_what_is_no_flower(stream: IrisStream, features: list[float], label: int) -> None:
    with pytest.raises(LabError, match="a row is no flower"):
        stream.insert(Flowers(np.array([features], float), np.array([label])))


def test_a_table_that_is_none_is_refused(stream: IrisStream) -> None:
    with pytest.raises(LabError, match="no iris table 'mnist_train'"):
        stream.insert(load_flowers(), "mnist_train")


def test_it_stands_beside_the_digits_and_leaves_nothing_of_itself(iris_lab: Lab, stream: IrisStream) -> None:
    lab = iris_lab
    lab.capture()
    before = lab.ledger().events
    stream.setup()  # Once more changes nothing.
    stream.insert(load_flowers().take(np.arange(3)))
    lab.insert(np.zeros((28, 28), np.uint8), 1)
    wait_for(lambda: len(list(read_to_present_end(lab.kafka, TRAIN_TOPIC))) == 3, "the flowers are captured")
    wait_for(lambda: lab.ledger().events == before + 1, "the digit is captured")
    stream.clear()
    assert stream.things() == []
    routes = [load_config(route, lab.endpoints, lab.settings) for route in ("bytes", "csv")]
    assert sorted(lab.connect.names()) == sorted(route.name for route in routes)
    assert sorted(lab.tables.slots()) == sorted(route.slot for route in routes)


def test_a_lab_with_debezium_server_is_told_what_to_do(iris_lab: Lab) -> None:
    endpoints = iris_lab.endpoints.model_copy(update={"capture": "server"})
    with pytest.raises(LabError, match="Kafka Connect only.*labkit up --capture connect"):
        IrisStream(endpoints, iris_lab.settings)


def test_centres_that_no_job_wrote_are_named(iris_lab: Lab, stream: IrisStream) -> None:
    producer = KafkaProducer(bootstrap_servers=iris_lab.kafka, **CLIENT)
    producer.send("iris-centres", b'{"version": 1}').get(10)
    producer.close()
    with pytest.raises(LabError, match="iris-centres@0 was not written by a job"):
        read_learned(iris_lab.kafka)


def test_these_are_the_tables(stream: IrisStream, iris_lab: Lab) -> None:
    with psycopg.connect(iris_lab.endpoints.postgres) as connection:
        found = connection.execute(
            "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns "
            "WHERE table_name LIKE 'iris%' GROUP BY 1 ORDER BY 1"
        ).fetchall()
    columns = ["id", "sepal_length", "sepal_width", "petal_length", "petal_width", "label"]
    assert found == [(TEST_TABLE, columns), (TRAIN_TABLE, columns)]
