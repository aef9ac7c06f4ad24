"""Scoring on an engine: its environment, its model, and its job on the real servers, killed in the middle, too."""

import dataclasses
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import psutil
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from typer.testing import CliRunner

from labkit import Lab, LabError
from labkit.cli import app
from labkit.course import flink_stream, spark_stream
from labkit.course.engine_figures import java_of_scorer, readable_after_ms, recorded, waiting
from labkit.digits import PIXELS, load_digits
from labkit.engines import flink_savepoint
from labkit.engines.catalog import ENGINES, PACKAGES, Engine, Packages, find_engine, find_packages
from labkit.engines.choice import chosen_engine
from labkit.engines.environment import EngineEnvironment
from labkit.engines.export import export_current
from labkit.engines.job import HandedOver, check_memory, run_job
from labkit.engines.place import HERE
from labkit.engines.progress import job_folder
from labkit.engines.side_job import side_job
from labkit.model.inference import compile_predict
from labkit.model.network import build_network
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import read_predictions
from labkit.model.resume import EVENTS_TOPIC
from labkit.model.store import ModelStore
from labkit.settings import CHECKOUT, Settings, load_settings
from labkit.stream.topics import CLIENT
from tests.labs import PATIENCE_S, all_scored, lab_of_its_own
from tests.small_engine import small_packages

SPARK = PACKAGES["spark"]
THROUGH_KAFKA = ["spark", "flink-kafka"]
ON_FLINK = pytest.mark.parametrize(
    "engine_lab", [pytest.param("spark", marks=pytest.mark.on_demand), "flink-kafka"], indirect=True
)
"""Shown on one engine; on the other by `make test-all`."""
VICTIMS = {"spark": "java", "flink-kafka": "starter"}
"""Which process of a job is killed. Python and Java end with each other."""


def installed(packages: Packages) -> EngineEnvironment:
    """Its environment, made where it is missing."""
    environment = EngineEnvironment(packages, load_settings())
    environment.install()
    return environment


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "lab", cache_dir=tmp_path / "cache")


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(LabError, match="no engine 'spork'.*did you mean 'spark'"):
        find_engine("spork")
    with pytest.raises(LabError, match="no engine 'flunk'.*did you mean 'flink'"):
        find_packages("flunk")
    with pytest.raises(LabError, match="no engine 'x'.*one of spark"):
        find_engine("x")


def test_a_lab_that_is_down_says_so(settings: Settings) -> None:
    with pytest.raises(LabError, match="not running here"):
        Lab(settings).score_by("local")
    with pytest.raises(LabError, match="cannot run at 'nowhere'"):
        Lab(settings).score_by("spark", "nowhere")


def test_one_that_is_not_installed_says_what_it_takes_and_how(settings: Settings) -> None:
    environment = EngineEnvironment(SPARK, settings)
    assert not environment.installed
    with pytest.raises(LabError, match=r"not installed: about \d+ MiB to fetch.*labkit engine install spark"):
        environment.check()
    lab = Lab(settings)
    with pytest.raises(LabError, match="not installed"):
        lab.score_by("spark")
    assert chosen_engine(settings).engine == "local"


def test_a_full_disk_is_said_before_anything_is_fetched(settings: Settings) -> None:
    packages = dataclasses.replace(SPARK, disk_mib=10**9)
    with pytest.raises(LabError, match="MiB are free in .*LABKIT_CACHE_DIR"):
        EngineEnvironment(packages, settings).install(lambda _: None)
    assert not (settings.cache_dir / "engines").exists()


def test_too_little_memory_is_said() -> None:
    with pytest.raises(LabError, match=r"wants 1000000000 MiB of memory.*labkit engine use local"):
        check_memory(dataclasses.replace(ENGINES["spark"], memory_mib=10**9))


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_with_too_little_memory_no_job_starts(engine: Engine, tmp_path: Path) -> None:
    installed(engine.packages)
    settings = load_settings().model_copy(update={"home": tmp_path})
    greedy = dataclasses.replace(engine, memory_mib=10**9)
    with pytest.raises(LabError, match="wants 1000000000 MiB of memory"):
        run_job(greedy, HERE, "127.0.0.1:1", settings, threading.Event())
    with (
        pytest.raises(LabError, match="wants 1000000000 MiB of memory"),
        side_job(greedy, "a-job", "no.module", settings, HERE, lambda jars, checkpoint: pytest.fail("it was to start")),
    ):
        pass
    assert not list(tmp_path.rglob("*.log"))


def test_an_environment_is_made_once_whole_and_removed(settings: Settings, tmp_path: Path) -> None:
    told: list[str] = []
    environment = EngineEnvironment(small_packages(tmp_path), settings)
    environment.install(told.append)
    assert environment.installed and "MiB to fetch" in told[0] and str(environment.folder) in told[0]
    version = subprocess.run([environment.java_home / "bin" / "java", "--add-modules=jdk.incubator.vector", "-version"])
    assert version.returncode == 0
    made = environment.python.lstat().st_mtime_ns
    environment.install(told.append)
    assert environment.python.lstat().st_mtime_ns == made and told[-1] == "A small engine: installed already"
    (environment.folder / ".ready").unlink()  # As an interrupted installation leaves it.
    assert not environment.installed
    environment.install(told.append)
    assert environment.installed
    environment.remove()
    assert not environment.installed and not environment.folder.exists()


def test_a_package_that_is_not_the_locked_one_is_refused(settings: Settings, tmp_path: Path) -> None:
    environment = EngineEnvironment(small_packages(tmp_path, checksum="0" * 64), settings)
    with pytest.raises(LabError, match="A small engine could not be installed: .*again: labkit engine install small"):
        environment.install(lambda _: None)
    assert not environment.installed


@pytest.mark.parametrize("packages", PACKAGES.values(), ids=PACKAGES)
def test_the_portable_model_says_what_tensorflow_says(packages: Packages, tmp_path: Path) -> None:
    network = build_network(seed=1)
    store = ModelStore(tmp_path / "models")
    with pytest.raises(LabError, match="no model"):
        export_current(tmp_path / "models", tmp_path / "portable")
    store.publish(network)
    assert export_current(tmp_path / "models", tmp_path / "portable") == "v1"
    images = np.random.default_rng(2).integers(0, 256, (1000, 784), np.uint8)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, pathlib, numpy as np\n"
        "from labkit.engines.lite import make_predict, read_current\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "version, model = read_current(folder / 'portable')\n"
        "values = np.array([image.tobytes() for image in np.load(folder / 'images.npy')] + [None, b'short'], object)\n"
        "np.save(folder / 'answers.npy', make_predict(model)(values))\n"
    )
    subprocess.run([installed(packages).python, "-c", code, tmp_path], check=True, env={"PYTHONPATH": str(CHECKOUT)})
    answers = np.load(tmp_path / "answers.npy")
    assert answers.shape == (1002, 10)
    np.testing.assert_allclose(answers[:1000], compile_predict(network)(images), atol=1e-5)
    assert (answers[:1000].argmax(1) == compile_predict(network)(images).argmax(1)).all()


def test_a_model_of_another_shape_is_told_once_and_the_next_one_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, portable = ModelStore(tmp_path / "models"), tmp_path / "portable"
    models = HandedOver(tmp_path / "models", portable)
    assert not models.has_one(), "none was published"
    store.publish(build_network(seed=1))
    other = keras.Sequential([keras.layers.Input((PIXELS,)), keras.layers.Dense(9)])
    other.save(tmp_path / "models" / "v1.keras")
    with caplog.at_level("ERROR"):
        assert not models.newest() and not models.newest()
    assert caplog.text.count("model v1 is not taken: a model that scores digits takes (None, 784)") == 1
    assert store.publish(build_network(seed=1)) == "v2"
    assert models.newest() and not models.newest()
    assert (portable / "current").read_text() == "v2"

    other.save(tmp_path / "models" / "v3.keras")
    (tmp_path / "models" / "current").write_text("v3")
    again = HandedOver(tmp_path / "models", portable)
    assert again.has_one() and (portable / "current").read_text() == "v2", "a new job goes on with the one before, too"


@pytest.fixture(scope="module", params=THROUGH_KAFKA)
def engine_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab that an engine scores, with a network that has learned nothing: only equality counts here."""
    engine = ENGINES[request.param]
    installed(engine.packages)
    with lab_of_its_own(engine.name) as lab:
        lab.capture()
        lab.publish(build_network(seed=1))
        lab.tables.copy(load_digits("bundled", "test").take(200), "mnist_test")
        all_scored(lab)
        lab.score_by(engine.name)
        yield lab


def predictions(lab: Lab) -> list[Prediction]:
    return read_predictions(lab.kafka)[0]


def newest(lab: Lab) -> Mapping[int, int | None]:
    """By row, what its newest change was predicted."""
    return {prediction.row_id: prediction.predicted for prediction in predictions(lab)}


def engine_folder(lab: Lab) -> Path:
    """What the engine keeps of this lab."""
    return job_folder(lab.settings, chosen_engine(lab.settings).engine)


def command(process: psutil.Process) -> list[str]:
    """Its command line; empty where it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class Job(NamedTuple):
    """The processes of a job: the one that supervisor keeps, the engine's Python, and its Java."""

    starter: psutil.Process
    driver: psutil.Process
    java: psutil.Process


def job_of(lab: Lab) -> Job:
    """The job's processes, once they are all there."""
    module = ENGINES[chosen_engine(lab.settings).engine].module
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for status in lab.stack.status():
            if status.name == "scorer" and status.pid:
                family = psutil.Process(status.pid).children(recursive=True)
                drivers = [process for process in family if module in command(process)]
                javas = [process for process in family if "/java" in "".join(command(process)[:1])]
                if drivers and javas:
                    return Job(psutil.Process(status.pid), drivers[0], javas[0])
        time.sleep(0.2)
    raise AssertionError("the engine does not run")


def test_an_engine_goes_on_where_the_labs_own_scorer_was_and_says_the_same(engine_lab: Lab) -> None:
    lab = engine_lab
    before = len(predictions(lab))
    assert before == 200
    ids = lab.sender.send(60, 30)
    lab.relabel(ids[0], 9)
    lab.relabel(ids[1], None)
    lab.delete(ids[2])
    all_scored(lab)
    ledger = lab.ledger()
    assert ledger.balanced and ledger.predictions == before + 63, ledger
    by_engine = predictions(lab)[before:]
    assert all(prediction.continual is None for prediction in by_engine), "it was the engine that scored"
    assert newest(lab)[ids[2]] is None
    rows = [row_id for row_id in ids if row_id != ids[2]]
    images = lab.tables.pixels(rows)
    network = ModelStore(lab.settings.home / "models").load("v1")
    digits = np.frombuffer(b"".join(images[row_id] for row_id in rows), np.uint8).reshape(-1, 784)
    answers = compile_predict(network)(digits).argmax(1)
    assert [newest(lab)[row_id] for row_id in rows] == answers.tolist()
    times = [(p.committed_ms, p.recorded_ms, p.read_ms, p.predicted_ms) for p in by_engine]
    assert all(committed <= read <= predicted for committed, _, read, predicted in times)

    engine = chosen_engine(lab.settings).engine
    lab.wait_until(lambda: f"{engine}: lag 0," in scorer_note(lab), "the lag is told", PATIENCE_S)
    found = re.fullmatch(rf"{engine}: lag 0, checkpoint (\d+) s ago", scorer_note(lab))
    assert found and int(found[1]) < PATIENCE_S, scorer_note(lab)


def scorer_note(lab: Lab) -> str:
    """What the lab's status tells of what scores."""
    (note,) = [status.note for status in lab.status() if status.name == "scorer"]
    return note


def test_a_newer_model_scores_without_a_restart(engine_lab: Lab) -> None:
    lab = engine_lab
    before = job_of(lab)
    version = lab.publish(build_network(seed=2))
    note = engine_folder(lab) / "models" / "current"
    lab.wait_until(lambda: note.read_text() == version, "the job has the model", PATIENCE_S)
    row_id = lab.insert(np.zeros((28, 28), np.uint8), 1)
    all_scored(lab)
    (prediction,) = [p for p in predictions(lab) if p.row_id == row_id]
    assert prediction.model_version == version
    assert job_of(lab) == before


def test_killed_in_the_middle_it_loses_nothing_and_repeats_nothing(engine_lab: Lab) -> None:
    lab = engine_lab
    victim = VICTIMS[chosen_engine(lab.settings).engine]
    job = job_of(lab)
    lab.sender.start(50)
    lab.wait_until(lambda: lab.ledger().lost > 0, "the stream is on its way", PATIENCE_S)
    getattr(job, victim).kill()
    time.sleep(2)
    lab.sender.stop()
    assert not psutil.wait_procs(job, timeout=30)[1], "nothing of the old job is left"
    all_scored(lab)
    assert lab.ledger().balanced, lab.ledger()
    assert getattr(job_of(lab), victim).pid != getattr(job, victim).pid


@ON_FLINK  # Spark has no savepoint: it begins a new checkpoint behind the last prediction, stopped or killed.
def test_stopped_it_leaves_a_savepoint_and_goes_on_from_it(engine_lab: Lab) -> None:
    lab = engine_lab
    lab.insert(np.zeros((28, 28), np.uint8), 1)
    all_scored(lab)
    lab.stop_scorer()
    with pytest.raises(LabError, match="no engine scores"):
        java_of_scorer(lab)
    note = engine_folder(lab) / "savepoint.json"
    assert note.exists() == (engine_folder(lab).name != "spark")
    lab.sender.send(10, 100)
    lab.start_scorer()
    behind = waiting(lab)
    assert behind[0][1] == 10 and behind[-1][1] == 0
    all_scored(lab)
    assert lab.ledger().balanced, lab.ledger()
    if note.parent.name != "spark":
        assert re.search(r"scoring on Flink at local\[2\], from file:\S+savepoint", lab.stack.log("scorer", 50))
        assert not note.exists(), "it is used once"


REACHED = {"0": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flink": "1.19.0"}, "is of Flink 1.19.0"),
        ({"layout": 99}, "layout 99"),
        ({"reached": {"0": 2}}, "somebody else has scored"),
        ({"path": "file:/nowhere"}, "is gone"),
        ({"path": 1}, "is damaged"),
    ],
)
def test_a_savepoint_that_does_not_fit_is_told_and_left(
    changes: Mapping[str, object],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(flink_savepoint, "flink_version", lambda: "1.20.5")
    (tmp_path / "_metadata").touch()
    with caplog.at_level("INFO"):
        flink_savepoint.leave_savepoint(tmp_path, tmp_path.as_uri(), REACHED)
        note = tmp_path / flink_savepoint.SAVEPOINT_NOTE
        left = json.loads(note.read_text())
        assert flink_savepoint.take_savepoint(tmp_path, REACHED) == tmp_path.as_uri()
        assert flink_savepoint.take_savepoint(tmp_path, REACHED) is None, "it is used once"
        note.write_text(json.dumps(left | changes))
        assert flink_savepoint.take_savepoint(tmp_path, REACHED) is None
    assert words in caplog.text and not note.exists()


def test_lesson_9_counts_micro_batches_and_knows_where_a_scorer_goes_on(engine_lab: Lab) -> None:
    lab = engine_lab
    rows = lab.sender.send(30, 20)
    all_scored(lab)
    batches = len({prediction.read_ms for prediction in predictions(lab) if prediction.row_id in rows})
    right = spark_stream.micro_batches(np.int64(batches), lab, rows)
    assert right.right and f"in {batches} micro-batches" in right.words
    if batches < 30:  # Flink reads each by itself.
        assert "Those are the digits" in spark_stream.micro_batches(30, lab, rows).words
    assert "read_ms" in spark_stream.micro_batches(batches + 31, lab, rows).words
    assert "whole number" in spark_stream.micro_batches(float(batches), lab, rows).words
    assert spark_stream.micro_batches(..., lab, rows).kind == "open"
    newest_offset = predictions(lab)[-1].offset
    assert spark_stream.goes_on_at(newest_offset + 1, lab).right
    assert "has its prediction already" in spark_stream.goes_on_at(newest_offset, lab).words
    assert "take the newest" in spark_stream.goes_on_at(newest_offset + 7, lab).words


@pytest.mark.parametrize("engine_lab", ["flink-kafka"], indirect=True)
def test_lesson_10_counts_transactions(engine_lab: Lab) -> None:
    lab = engine_lab
    delays = readable_after_ms(lab, 40, 20)
    assert len(delays) == 40 and min(delays) > 0
    rows = [prediction.row_id for prediction in predictions(lab)[-40:]]
    offsets = [offset for prediction, offset in recorded(lab) if prediction.row_id in rows]
    runs = 1 + sum(then != first + 1 for first, then in pairwise(offsets))
    assert 1 < runs < 40
    assert flink_stream.transactions(runs, lab, rows).right
    assert "n - 1 gaps" in flink_stream.transactions(runs - 1, lab, rows).words
    assert "Those are the predictions" in flink_stream.transactions(40, lab, rows).words
    assert "leave one out" in flink_stream.transactions(runs + 50, lab, rows).words
    assert flink_stream.transactions(str(runs), lab, rows).kind == "wrong"
    assert java_of_scorer(lab).pid == job_of(lab).java.pid


def test_what_is_no_digit_is_passed_over(engine_lab: Lab) -> None:
    lab = engine_lab
    producer = KafkaProducer(bootstrap_servers=lab.kafka, **CLIENT)
    producer.send(EVENTS_TOPIC, b"no digit", key=b"no row").get(10)
    producer.close()
    row_id = lab.insert(np.zeros((28, 28), np.uint8), 1)
    lab.wait_until(lambda: row_id in newest(lab), "the digit behind it is scored", PATIENCE_S)
    assert "is no digit" in lab.stack.log("scorer", 50)


def learning_began(lab: Lab) -> str:
    """Where the lab's own scorer last began to learn, from its log."""
    return next(line for line in reversed(lab.stack.log("scorer", 200).splitlines()) if "learning begins" in line)


def events_made_anew_are_scored(lab: Lab) -> None:
    """Delete the topic of the change events, which Kafka makes anew: none of the new ones is passed over."""
    admin = KafkaAdminClient(bootstrap_servers=lab.kafka, **CLIENT)
    admin.delete_topics([EVENTS_TOPIC])
    admin.close()
    time.sleep(2)  # Kafka deletes by and by.
    ids = lab.sender.send(5, 10)
    lab.wait_until(lambda: set(ids) <= set(newest(lab)), "what is in the new topic is scored", PATIENCE_S)
    assert next(p.offset for p in predictions(lab) if p.row_id == ids[0]) == 0


@ON_FLINK
def test_events_in_a_topic_that_was_made_anew_are_scored(engine_lab: Lab) -> None:
    events_made_anew_are_scored(engine_lab)


@ON_FLINK
def test_the_labs_own_scorer_takes_over_again(engine_lab: Lab) -> None:
    lab = engine_lab
    job = job_of(lab)
    lab.score_by("local")
    assert not psutil.wait_procs(job, timeout=30)[1]
    row_id = lab.insert(np.zeros((28, 28), np.uint8), 1)
    lab.wait_until(lambda: row_id in newest(lab), "the lab's own scorer goes on", PATIENCE_S)
    (prediction,) = [p for p in predictions(lab) if p.row_id == row_id]
    assert prediction.continual is not None
    assert learning_began(lab).endswith("at offsets {0: 0}"), "not where the model was taken up in the topic before"


@pytest.mark.parametrize("engine_lab", ["flink-kafka"], indirect=True)  # No engine has a part in it.
def test_the_labs_own_scorer_begins_anew_with_a_topic_that_was_made_anew(engine_lab: Lab) -> None:
    events_made_anew_are_scored(engine_lab)
    said = engine_lab.stack.log("scorer", 200).rpartition("scoring with model")[0].rpartition("scoring with model")[2]
    assert "deleted and made anew, and is scored from its beginning" in said
    assert "it is of another events topic" in said, "what was learned went with the old one"
    assert learning_began(engine_lab).endswith("at offsets {0: 0}")


def test_the_list_tells_what_is_there() -> None:
    installed(SPARK)
    listed = json.loads(CliRunner().invoke(app, ["engine", "list", "--json"]).stdout)
    assert [row["engine"] for row in listed] == list(ENGINES)
    (spark,) = [row for row in listed if row["engine"] == "spark"]
    assert (spark["installed"], spark["scores"]) == (True, False)
