"""The learner's checkpoint: whole or not at all, and a file that does not fit is told and set aside."""

import hashlib
import io
import json
import logging
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from labkit.capture.event import ChangeEvent
from labkit.digits import load_digits
from labkit.model import learner as learner_module
from labkit.model.checkpoint import FORMAT, MAGIC, CheckpointError, CheckpointFile
from labkit.model.learner import Learner
from labkit.model.network import build_network

EVENTS = 120


@pytest.fixture(scope="module")
def published() -> keras.Model:
    return build_network(seed=1)


@pytest.fixture(scope="module")
def events() -> list[ChangeEvent]:
    """A topic of inserts, with a delete and a digit without label among them."""
    digits = load_digits("bundled", "test")
    return [
        ChangeEvent(
            table="mnist_test",
            row_id=offset + 1,
            operation="d" if offset == 50 else "c",
            label=None if offset in (50, 60) else int(digits.labels[offset]),
            pixels=None if offset == 50 else digits.images[offset].tobytes(),
            lsn=offset,
            transaction=offset,
            committed_ms=0.0,
            captured_ms=0.0,
            recorded_ms=0.0,
            topic="lab.public.mnist_test",
            partition=0,
            offset=offset,
        )
        for offset in range(EVENTS)
    ]


@pytest.fixture
def file(tmp_path: Path) -> CheckpointFile:
    return CheckpointFile(tmp_path / "learner.checkpoint")


def begin(
    model: keras.Model, file: CheckpointFile, version: str = "v1", start: int = 0, topic: str = "the topic"
) -> Learner:
    return Learner(model, version, topic, file, lambda: {0: start})


def arrays(file: CheckpointFile) -> dict[str, bytes]:
    checkpoint = file.load()
    assert checkpoint is not None
    return {name: array.tobytes() for name, array in checkpoint.state.arrays.items()}


def test_it_goes_on_where_it_was_and_ends_with_the_same_weights(
    published: keras.Model, events: list[ChangeEvent], file: CheckpointFile, tmp_path: Path
) -> None:
    never_killed = CheckpointFile(tmp_path / "other.checkpoint")
    one = begin(published, never_killed)
    assert one.learn(events) == EVENTS
    one.save()

    for first, saved, killed in ((0, 33, 41), (33, 57, 57), (57, 90, 119), (90, EVENTS, EVENTS)):
        # What was learned after the save dies with its process.
        learner = begin(published, file)
        assert learner.position(0) == first
        learner.learn(events[first:saved])
        learner.save()
        learner.learn(events[saved:killed])
    assert arrays(file) == arrays(never_killed)
    checkpoint = file.load()
    assert checkpoint is not None and checkpoint.positions == {0: EVENTS} and checkpoint.began == {0: 0}
    learned = EVENTS - 2  # All but the delete and the digit without label.
    assert checkpoint.state.learned + len(checkpoint.state.arrays["waiting_labels"]) == learned


def test_where_it_began_is_on_the_disk_before_the_first_step(
    published: keras.Model, events: list[ChangeEvent], file: CheckpointFile
) -> None:
    begin(published, file, start=7)
    successor = begin(published, file, start=99)
    assert successor.position(0) == 7
    assert successor.learn(events) == EVENTS - 7, "what came before is not learned"


def test_an_event_that_comes_again_is_not_learned_again(
    published: keras.Model, events: list[ChangeEvent], file: CheckpointFile
) -> None:
    learner = begin(published, file)
    learner.learn(events[:80])
    learner.save()
    once = arrays(file)
    assert learner.learn(events[20:80]) == 0
    learner.save()
    assert arrays(file) == once


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the learner warned of; TensorFlow has warnings of its own."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == learner_module.__name__ and record.levelno >= logging.WARNING
    ]


def _reforged(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A checkpoint with other arrays and a checksum that is right."""
    with np.load(io.BytesIO(content.partition(b"\n")[2]), allow_pickle=False) as archive:
        found = {name: archive[name] for name in archive.files}
    change(found)
    written = io.BytesIO()
    np.savez(written, **found)
    body = written.getvalue()
    return f"{MAGIC} {FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def _without_about(found: dict[str, Any]) -> None:
    del found["about"]


def _other_about(found: dict[str, Any]) -> None:
    about = json.loads(found["about"].tobytes()) | {"positions": [1, 2]}
    found["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)


def _pickled(found: dict[str, Any]) -> None:
    found["images"] = np.array([{"no": "pixels"}], object)


def _no_labels(found: dict[str, Any]) -> None:
    del found["labels"]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: b"", "does not begin like a checkpoint"),
        (lambda content: b"\x00" * 5000, "does not begin like a checkpoint"),
        (lambda content: content[:-1], "its checksum is not that of its content"),
        (lambda content: content[: len(content) // 2], "its checksum is not that of its content"),
        (_flipped, "its checksum is not that of its content"),
        (lambda content: content.replace(f"{MAGIC} {FORMAT}".encode(), f"{MAGIC} 99".encode()), "format 99"),
        (lambda content: _reforged(content, _without_about), "damaged: KeyError"),
        (lambda content: _reforged(content, _other_about), "damaged: AttributeError"),
        (lambda content: _reforged(content, _pickled), "damaged: ValueError: Object arrays cannot be loaded"),
        (lambda content: _reforged(content, _no_labels), "another shape: labels is missing"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_told_in_a_line_and_learning_begins_anew(
    spoil: Callable[[bytes], bytes],
    says: str,
    published: keras.Model,
    events: list[ChangeEvent],
    file: CheckpointFile,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, learner_module.__name__)
    learner = begin(published, file)
    learner.learn(events)
    learner.save()
    whole = arrays(file)
    spoilt = spoil(file.path.read_bytes())
    file.path.write_bytes(spoilt)
    caplog.clear()
    successor = begin(published, file)
    warnings = told(caplog)
    assert len(warnings) == 1 and says in warnings[0] and str(file.path) in warnings[0]
    assert "\n" not in warnings[0]
    assert file.path.with_name("learner.checkpoint.refused").read_bytes() == spoilt
    # From where the model was taken up, with the same outcome.
    assert successor.position(0) == 0
    successor.learn(events)
    successor.save()
    assert arrays(file) == whole


def test_a_checkpoint_of_another_model_is_not_used(
    published: keras.Model, events: list[ChangeEvent], file: CheckpointFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, learner_module.__name__)
    learner = begin(published, file)
    learner.learn(events)
    learner.save()
    whole = file.path.read_bytes()

    other_shape = keras.Sequential([keras.layers.Input((784,)), keras.layers.Dense(64), keras.layers.Dense(10)])
    for model in (build_network(seed=2), other_shape):
        file.path.write_bytes(whole)
        caplog.clear()
        assert begin(model, file, start=100).position(0) == 100
        assert "it began from another model v1" in caplog.text
    file.path.write_bytes(whole)
    assert begin(published, file, start=100, topic="another topic").position(0) == 100
    assert "it is of another events topic" in caplog.text
    # Published meanwhile: nothing is wrong with it, and it needs no warning.
    file.path.write_bytes(whole)
    caplog.clear()
    assert begin(published, file, version="v2", start=100).position(0) == 100
    assert "the checkpoint is of model v1, and v2 scores now" in caplog.text
    assert not told(caplog)
    checkpoint = file.load()
    assert checkpoint is not None and (checkpoint.version, checkpoint.began) == ("v2", {0: 100})


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow beyond 10 kB, as if the disk had no more room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_checkpoint_before_and_learning_goes_on(
    published: keras.Model,
    events: list[ChangeEvent],
    file: CheckpointFile,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, learner_module.__name__)
    monkeypatch.setattr(learner_module, "SAVE_EVERY_S", 0.0)
    learner = begin(published, file)
    learner.learn(events[:40])
    learner.save()
    before = file.path.read_bytes()
    with full_disk():
        for start in (40, 60):
            learner.learn(events[start : start + 20])
            learner.save_when_due()
    assert file.path.read_bytes() == before
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name], "nothing half written is left"
    assert caplog.text.count("no checkpoint of what was learned can be written") == 1, "told once, not every time"
    learner.save_when_due()
    checkpoint = file.load()
    assert checkpoint is not None and checkpoint.positions == {0: 80}


def test_a_process_killed_while_it_writes_leaves_a_whole_checkpoint(
    published: keras.Model, file: CheckpointFile
) -> None:
    begin(published, file)
    first = file.load()
    assert first is not None
    chance, newest, in_the_middle = random.Random(3), 0, 0
    for _ in range(25):
        child = os.fork()
        if child == 0:
            for number in range(newest + 1, newest + 10_000):
                file.save(replace(first, positions={0: number}))
            os._exit(0)
        time.sleep(chance.uniform(0.0, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        in_the_middle += file.path.with_name(f"{file.path.name}.part").exists()
        checkpoint = file.load()
        assert checkpoint is not None and checkpoint.positions.get(0, 0) >= newest
        newest = checkpoint.positions[0]
    assert newest > 0 and in_the_middle > 0, "it was never killed at its work"


def test_a_folder_that_is_gone_is_no_checkpoint(tmp_path: Path) -> None:
    assert CheckpointFile(tmp_path / "none" / "learner.checkpoint").load() is None
    (tmp_path / "learner.checkpoint").mkdir()
    with pytest.raises(CheckpointError, match="cannot be read"):
        CheckpointFile(tmp_path / "learner.checkpoint").load()
