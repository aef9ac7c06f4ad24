"""Java's archives of classes: made by one run, taken up by the next."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.settings import load_settings
from labkit.stack import java
from labkit.stack.java import MAGIC, class_archive, java_command, prepare_sharing

MAIN = ("kafka.tools.StorageTool", "random-uuid")
FROM_THE_ARCHIVE = "shared objects file (top)"


def loaded(classpath: list[Path], archive: Path | None, log: Path) -> tuple[int, int, str]:
    """Run a small program; how many classes came from the archive, how many from elsewhere, and what it printed."""
    command = [*java_command(classpath, 64, archive=archive), f"-Xlog:class+load:file={log}", *MAIN]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    lines = log.read_text().splitlines()
    shared = sum(FROM_THE_ARCHIVE in line for line in lines)
    return shared, len(lines) - shared, result.stdout


@pytest.fixture
def classpath(java_artifacts: Callable[[str], list[Path]]) -> list[Path]:
    prepare_sharing(load_settings())
    return java_artifacts("connect")


def test_the_second_run_takes_up_the_classes_of_the_first(classpath: list[Path], tmp_path: Path) -> None:
    archive, log = tmp_path / "classes.jsa", tmp_path / "log"
    shared, _, said = loaded(classpath, archive, log)
    assert shared == 0 and archive.read_bytes().startswith(MAGIC)
    assert len(said.splitlines()) == 1, "nothing of the archive is said where a server's own words go"
    shared, _, said = loaded(classpath, archive, log)
    assert shared > 100
    assert len(said.splitlines()) == 1


def test_an_archive_that_was_never_finished_is_removed(tmp_path: Path) -> None:
    settings = load_settings().model_copy(update={"cache_dir": tmp_path})
    prepare_sharing(settings)
    whole, unfinished, empty = (tmp_path / "classes" / f"{name}.jsa" for name in ("whole", "unfinished", "empty"))
    whole.write_bytes(MAGIC + b"classes")
    unfinished.write_bytes(bytes(4096) + b"classes")
    empty.touch()
    prepare_sharing(settings)
    assert list((tmp_path / "classes").iterdir()) == [whole]


def test_the_archive_of_other_jars_is_another(tmp_path: Path) -> None:
    settings = load_settings()
    first, second = ({class_archive(settings, "kafka", [tmp_path] * jars) for jars in range(3)} for _ in range(2))
    assert first == second and len(first) == 3


def test_javas_own_archive_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[object] = []
    monkeypatch.setattr(java.subprocess, "run", lambda command, **_: calls.append(command))
    settings = load_settings().model_copy(update={"cache_dir": tmp_path})
    monkeypatch.setattr(java, "BASE_ARCHIVE", tmp_path / "base.jsa")
    prepare_sharing(settings)
    assert len(calls) == 1 and (tmp_path / "classes").is_dir()
    (tmp_path / "base.jsa").touch()
    prepare_sharing(settings)
    assert len(calls) == 1
