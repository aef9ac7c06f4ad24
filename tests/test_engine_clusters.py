"""The same jobs on clusters in containers: a Spark of one master and two workers, a session cluster of Flink."""

import json
import os
import re
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from labkit import Lab, LabError
from labkit.course import Workbench
from labkit.course.envelopes import capture_envelopes
from labkit.digits import load_digits
from labkit.engines.catalog import ENGINES
from labkit.engines.count_job import count_labels, job_name
from labkit.engines.environment import EngineEnvironment
from labkit.engines.flink_cluster import ENDED, cancel_left_over, free_slots
from labkit.engines.iris_job import IrisEngine, iris_log, learn_iris
from labkit.engines.side_job import side_log
from labkit.model.network import build_network
from labkit.online.events import TEST_TABLE
from labkit.online.iris import load_flowers, split
from labkit.online.stream import IrisStream
from labkit.settings import CHECKOUT, LOOPBACK, load_settings
from labkit.stack.ports import free_port
from tests.binder.build import build_python
from tests.conftest import LOGS
from tests.labs import PATIENCE_S, all_scored, lab_of_its_own
from tests.test_flink_cdc import by_flink, counts_agree, through_kafka

pytestmark = pytest.mark.on_demand

FILE = CHECKOUT / "docker" / "engines.yml"
DOCKERFILE = CHECKOUT / "docker" / "engine.Dockerfile"


@pytest.fixture(scope="module")
def cluster_lab(docker_engine: None) -> Iterator[Lab]:
    """A lab on this machine, with 50 rows that its own scorer has scored."""
    for name in ("spark", "flink-kafka"):
        EngineEnvironment(ENGINES[name].packages, load_settings()).install()
    if os.geteuid() == 0:  # Else the engine is somebody's own, and fetches the official image.
        build_python(re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)[0])
    with lab_of_its_own("cluster") as lab:
        lab.capture("bytes")
        lab.publish(build_network(seed=1))
        lab.tables.copy(load_digits("bundled", "test").take(50), "mnist_test")
        all_scored(lab)
        yield lab


@contextmanager
def cluster(lab: Lab, profile: str, **ports: int) -> Generator[None]:
    """A cluster of the compose file, as ``make cluster`` starts it."""
    environment = os.environ | {
        "LABKIT_HOME": str(lab.settings.home),
        "LAB_UID": str(os.getuid()),
        "LAB_GID": str(os.getgid()),
        "DOCKER_BUILDKIT": "1",
        **{name: str(port) for name, port in ports.items()},
    }

    def compose(*arguments: str) -> str:
        command = ["docker", "compose", f"--file={FILE}", f"--profile={profile}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    try:
        compose("up", "--build", "--detach", "--wait")
        yield
    finally:
        LOGS.mkdir(parents=True, exist_ok=True)
        (LOGS / f"cluster-{profile}.log").write_text(compose("logs"))
        compose("down", "--timeout=5")


def ask(port: int, path: str) -> Any:
    with urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
        return json.load(answer)


def running(port: int) -> list[str]:
    """The jobs that run on Flink's cluster."""
    return [job["jid"] for job in ask(port, "/jobs/overview")["jobs"] if job["state"] == "RUNNING"]


def changes_are_scored(lab: Lab) -> None:
    """Insert, relabel and delete digits, and see that each change gets its one prediction."""
    ids = lab.sender.send(60, 30)
    lab.relabel(ids[0], 9)
    lab.relabel(ids[1], None)
    lab.delete(ids[2])
    all_scored(lab)
    assert lab.ledger().balanced, lab.ledger()


def iris_is_learned(lab: Lab, engine: IrisEngine, master: str) -> None:
    """Learn the first rows of iris on a cluster, and predict its test rows by them."""
    stream, parts = IrisStream(lab.endpoints, lab.settings), split(load_flowers(), 0)
    try:
        stream.setup()
        with learn_iris(engine, lab.kafka, lab.settings, master=master):
            stream.insert(parts.first)
            learned = stream.wait_learned(len(parts.first), PATIENCE_S)
            told = stream.wait_predicted(stream.insert(parts.test, TEST_TABLE), PATIENCE_S)
        assert {prediction.version for prediction in told} == {learned.version}
        assert len(told) == len(parts.test)
    finally:
        print(iris_log(lab.settings, engine).read_text()[-5000:])
        stream.clear()


def starter_of(lab: Lab) -> psutil.Process:
    """The process that supervisor keeps."""
    (pid,) = [status.pid for status in lab.stack.status() if status.name == "scorer"]
    assert pid is not None
    return psutil.Process(pid)


@pytest.mark.timeout(1200)  # It builds the image.
def test_spark_scores_on_two_workers(cluster_lab: Lab) -> None:
    lab = cluster_lab
    port, page = free_port(7077), free_port(8280)
    with cluster(lab, "spark", SPARK_PORT=port, SPARK_UI_PORT=page):
        lab.score_by("spark", f"spark://{LOOPBACK}:{port}")
        changes_are_scored(lab)
        (job,) = ask(page, "/json/")["activeapps"]
        assert (job["name"], job["cores"]) == ("labkit: scoring digits", 1), "its topic has one partition"
        iris_is_learned(lab, "spark", f"spark://{LOOPBACK}:{port}")  # On the other worker.
        lab.score_by("spark", f"spark://{LOOPBACK}:{port}", 2)
        changes_are_scored(lab)
        assert [job["cores"] for job in ask(page, "/json/")["activeapps"]] == [2]
        starter = starter_of(lab)
        starter.kill()
        changes_are_scored(lab)
        assert starter_of(lab) != starter
        lab.score_by("local")
        deadline = time.monotonic() + 30
        while ask(page, "/json/")["activeapps"] and time.monotonic() < deadline:
            time.sleep(0.5)
        assert ask(page, "/json/")["activeapps"] == []


@pytest.mark.timeout(1200)
def test_flink_scores_on_a_session_cluster_and_a_killed_starter_leaves_no_second_job(cluster_lab: Lab) -> None:
    lab = cluster_lab
    port, rpc_port = free_port(8081), free_port(6123)
    with cluster(lab, "flink", FLINK_PORT=port, FLINK_RPC_PORT=rpc_port):
        master = f"{LOOPBACK}:{port}"
        lab.score_by("flink-kafka", master)
        changes_are_scored(lab)
        before = running(port)
        lab.sender.start(20)
        starter_of(lab).kill()
        lab.wait_until(lambda: running(port) not in ([], before), "its successor runs", PATIENCE_S)
        lab.sender.stop()
        assert len(before) == len(running(port)) == 1
        all_scored(lab)
        assert lab.ledger().balanced, lab.ledger()
        lab.score_by("local")
        assert "savepoint-" in lab.stack.log("scorer", 50)
        assert not [job for job in ask(port, "/jobs/overview")["jobs"] if job["state"] not in ENDED]
        lab.score_by("flink-kafka", master)
        changes_are_scored(lab)
        assert re.search(rf"scoring on Flink at {master}, from file:\S+savepoint", lab.stack.log("scorer", 50))
        assert free_slots(master) == ask(port, "/overview")["slots-total"] - 1
        starter_of(lab).kill()
        lab.score_by("local")  # Before a successor of the starter can clear up.
        assert running(port) == []
        changes_are_scored(lab)


@pytest.mark.timeout(1200)
def test_four_jobs_share_a_session_cluster_of_flink(cluster_lab: Lab) -> None:
    lab, bench = cluster_lab, Workbench(cluster_lab, "cluster")
    port, rpc_port = free_port(8081), free_port(6123)
    table, master = bench.name("counts"), f"{LOOPBACK}:{port}"
    with cluster(lab, "flink", FLINK_PORT=port, FLINK_RPC_PORT=rpc_port):
        try:
            lab.score_by("flink-kafka", master, 2)
            lab.score_by("flink-cdc", master)
            rows = lab.tables.count("mnist_test")
            lab.wait_until(lambda: len(by_flink(lab)) == rows, "the rows of the snapshot are scored", PATIENCE_S)
            newest = max(change[1] for change in through_kafka(lab))
            changes_are_scored(lab)
            expected = [change for change in through_kafka(lab) if change[1] > newest]
            lab.wait_until(lambda: len(by_flink(lab)) == rows + len(expected), "all is scored by Flink", PATIENCE_S)
            assert [change for change in by_flink(lab) if change[1] > newest] == expected
            assert free_slots(master) == 2, "of a topic with one partition no more is taken than one"
            with count_labels(capture_envelopes(bench, lab), table, lab.endpoints, lab.settings, master=master):
                lab.wait_until(lambda: counts_agree(lab, table), "the rows of the snapshot are counted", PATIENCE_S)
                lab.relabel(lab.sender.send(1, 1)[0], 9)
                lab.wait_until(lambda: counts_agree(lab, table), "a relabelled row has moved", PATIENCE_S)
                iris_is_learned(lab, "flink", master)
                assert len(running(port)) == 3
        finally:
            lab.stop_engine("flink-cdc", forget=True)
            lab.score_by("local")
            bench.clear()
            print(side_log(lab.settings, job_name(table)).read_text()[-5000:])
        assert running(port) == []


@pytest.mark.parametrize(("engine", "place"), [("spark", "spark://127.0.0.1:1"), ("flink-kafka", "127.0.0.1:1")])
def test_a_cluster_that_does_not_answer_is_named_and_the_scorer_stays(
    cluster_lab: Lab, engine: str, place: str
) -> None:
    before = starter_of(cluster_lab)
    with pytest.raises(LabError, match=f"no cluster for .* answers at {place}: .*use {engine} --master local"):
        cluster_lab.score_by(engine, place)
    assert starter_of(cluster_lab) == before


def test_who_is_no_flink_is_told(cluster_lab: Lab) -> None:
    connect = f"{LOOPBACK}:{cluster_lab.endpoints.connect_port}"
    with pytest.raises(LabError, match=f"what answers at {connect} is no Flink session cluster: .*make cluster"):
        cancel_left_over(connect, "job")
