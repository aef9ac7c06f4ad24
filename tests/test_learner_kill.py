"""kill -9 of what learns from a stream: it ends with the weights of one that was never killed, to the bit."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from labkit import Lab
from labkit.digits import Digits, load_digits
from labkit.model.checkpoint import Checkpoint, CheckpointFile
from labkit.model.resume import resume_positions
from labkit.model.store import ModelStore
from labkit.settings import TEST_TABLE, endpoints_file

KILLS = 2
RATE = 50.0
PATIENCE_S = 120
NAME = "learner.checkpoint"


def scorer_pid(lab: Lab) -> int | None:
    return next((status.pid for status in lab.stack.status() if status.name == "scorer"), None)


def kill_scorer(lab: Lab) -> None:
    """Kill -9 the scorer; supervisor starts another."""
    killed = scorer_pid(lab)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    lab.wait_until(lambda: scorer_pid(lab) not in (None, killed), "another scorer starts", PATIENCE_S)


def wait_for_predictions(lab: Lab, more: int = 1) -> None:
    seen = lab.view.state().predictions_seen
    lab.wait_until(lambda: lab.view.state().predictions_seen >= seen + more, "the scorer predicts", PATIENCE_S)


def stop_scorer(lab: Lab) -> Checkpoint:
    """Stop the scorer in an orderly way when all is scored; return what it leaves."""
    lab.wait_until(lambda: lab.ledger().lost == 0, "every digit is scored", PATIENCE_S)
    lab.stop_scorer()
    return read(lab.settings.home)


def read(home: Path) -> Checkpoint:
    checkpoint = CheckpointFile(home / NAME).load()
    assert checkpoint is not None
    return checkpoint


def learn_without_a_kill(lab: Lab, home: Path) -> Checkpoint:
    """Let a scorer with a folder of its own read the same topic, and stop it when it has learned what is scored."""
    (home / "models").mkdir(parents=True, exist_ok=True)
    shutil.copy(endpoints_file(lab.settings), home)
    for path in (lab.settings.home / "models").iterdir():
        shutil.copy(path, home / "models")
    environment = os.environ | {"LABKIT_HOME": str(home)}
    with subprocess.Popen(
        [sys.executable, "-m", "labkit", "score"], env=environment, stderr=subprocess.PIPE, text=True
    ) as scorer:
        assert scorer.stderr is not None
        told: list[str] = []
        for line in scorer.stderr:
            told.append(line)
            if "learning has caught up" in line:
                scorer.send_signal(signal.SIGTERM)
        assert scorer.wait(PATIENCE_S) == 0, told
    return read(home)


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    assert (one.version, one.published, one.positions) == (other.version, other.published, other.positions)
    assert (one.state.learned, one.state.random) == (other.state.learned, other.state.random)
    differ = [name for name, array in one.state.arrays.items() if array.tobytes() != other.state.arrays[name].tobytes()]
    assert not differ and one.state.arrays.keys() == other.state.arrays.keys()


def test_a_learner_killed_at_any_point_ends_with_the_weights_of_one_never_killed(
    scoring_lab: Lab, tmp_path: Path
) -> None:
    lab, chance = scoring_lab, random.Random(11)
    lab.start_scorer()
    lab.start_sending(RATE, "rotated", 0.5)
    wait_for_predictions(lab)
    # Taken up in the middle of the stream: where, only the predictions tell.
    models = ModelStore(lab.settings.home / "models")
    version = lab.publish(models.load(str(models.current_version())))
    for _ in range(KILLS):
        wait_for_predictions(lab)
        time.sleep(chance.uniform(0.0, 2.0))
        kill_scorer(lab)

    # A disk without room: the checkpoint stays as it was, and the scorer goes on.
    wait_for_predictions(lab)
    psutil.Process(scorer_pid(lab)).rlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    lab.wait_until(
        lambda: "no checkpoint of what was learned can be written" in lab.stack.log("scorer"), "it says so", PATIENCE_S
    )
    before = read(lab.settings.home)
    wait_for_predictions(lab, 50)
    assert read(lab.settings.home).positions == before.positions
    psutil.Process(scorer_pid(lab)).rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    lab.stop_sending()

    killed = stop_scorer(lab)
    never_killed = learn_without_a_kill(lab, tmp_path / "never-killed")
    assert killed.version == version and killed.began[0] > 0 and killed.state.learned > 500
    assert_same(killed, never_killed)

    # A damaged checkpoint costs time and no digit.
    path = lab.settings.home / NAME
    path.write_bytes(path.read_bytes()[:-1000])
    lab.start_scorer()
    lab.sender.send(5, RATE)
    # Many at once are scored first, and learned later.
    many = load_digits("bundled", "train")
    lab.tables.copy(Digits(many.images[:1000], many.labels[:1000], "a thousand"), TEST_TABLE)
    lab.wait_until(lambda: lab.ledger().lost == 0, "every digit is scored", PATIENCE_S)
    (scored,) = resume_positions(lab.kafka).values()
    lab.wait_until(lambda: read(lab.settings.home).positions == {0: scored}, "all of it is learned", PATIENCE_S)
    assert "were learned later" in lab.stack.log("scorer")
    rebuilt = stop_scorer(lab)
    lab.start_scorer()
    assert "it is damaged: its checksum is not that of its content" in lab.stack.log("scorer")
    assert rebuilt.state.learned > killed.state.learned + 1000
    assert_same(rebuilt, learn_without_a_kill(lab, tmp_path / "never-killed"))
    assert lab.ledger(wait_s=PATIENCE_S).balanced
