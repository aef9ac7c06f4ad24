"""Setting up an environment for real, with the few packages that build labkit instead of all."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.settings import CHECKOUT

BUILDERS = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")


def locked(names: tuple[str, ...]) -> str:
    """The entries of some packages in the project's own lock, hashes and all."""
    entries = re.findall(r"^[\w.-]+==(?:.|\n)*?(?=^[\w.-]+==|\Z)", (CHECKOUT / "requirements.txt").read_text(), re.M)
    return "".join(entry for entry in entries if entry.split("==")[0] in names)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small copy of the project, with a lock of what builds it."""
    root = tmp_path_factory.mktemp("clone")
    for name in ("tools/bootstrap.py", "pyproject.toml", "README.md", "requirements-uv.txt", "labkit/errors.py"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, root / name)
    (root / "labkit" / "__init__.py").touch()
    (root / "requirements.txt").write_text(locked(BUILDERS))
    (root / "requirements-dev.txt").write_text(locked((*BUILDERS, "six")))
    yield root
    shutil.rmtree(root)


def bootstrap(root: Path, *arguments: str, **environment: str) -> tuple[int, list[str]]:
    """Run the tool as `make` does.

    Returns:
        Exit code, and the lines that are the tool's own.
    """
    result = subprocess.run(
        [sys.executable, root / "tools" / "bootstrap.py", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert "Traceback" not in result.stderr
    return result.returncode, [line for line in result.stderr.splitlines() if line.startswith("environment: ")]


def has(root: Path, module: str) -> bool:
    """Whether the environment itself, wherever one stands, can import a module."""
    return (
        subprocess.run([root / ".venv/bin/python", "-I", "-c", f"import {module}"], capture_output=True).returncode == 0
    )


def test_lock_that_is_not_there_is_named(clone: Path) -> None:
    code, lines = bootstrap(clone, "requirements-dve.txt")
    assert code == 1
    assert lines == [f"environment: there is no file {clone / 'requirements-dve.txt'}"]


def test_environment_is_made_once_kept_and_renewed_with_its_locks(clone: Path) -> None:
    code, lines = bootstrap(clone)
    assert (code, lines[-1]) == (0, "environment: ready")
    assert has(clone, "labkit.errors") and has(clone, "editables")

    assert bootstrap(clone) == (0, ["environment: up to date"])

    code, lines = bootstrap(clone, "requirements-dev.txt")
    assert (code, lines[-1]) == (0, "environment: ready")
    assert has(clone, "six")
    assert bootstrap(clone) == (0, ["environment: up to date"])

    # Another lock and back again: the first one's packages are no longer what is there.
    lock = clone / "requirements.txt"
    before = lock.read_text()
    lock.write_text(before + "# changed\n")
    assert bootstrap(clone)[1][-1] == "environment: ready"
    lock.write_text(before)
    assert bootstrap(clone)[1][-1] == "environment: ready"


def test_python_that_does_not_run_is_replaced(clone: Path) -> None:
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.unlink(missing_ok=True)
    python.symlink_to("/bin/false")
    code, lines = bootstrap(clone)
    assert code == 0
    assert lines[0].startswith("environment: making .venv with Python")
    assert has(clone, "labkit.errors")


def test_package_that_is_not_the_locked_one_is_refused_in_one_line(clone: Path) -> None:
    lock = clone / "requirements.txt"
    before = lock.read_text()
    lock.write_text(re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", before))
    try:
        # A cache of its own, so that the package must be fetched.
        shutil.rmtree(clone / ".venv", ignore_errors=True)
        code, lines = bootstrap(clone, UV_CACHE_DIR=str(clone / "uv-cache"))
        assert code == 1
        assert "packages could not be installed" in lines[-1]
        assert not has(clone, "editables")
        assert not list((clone / ".venv").glob(".installed-*"))
    finally:
        lock.write_text(before)


def test_two_set_ups_at_once_wait_for_each_other(clone: Path) -> None:
    shutil.rmtree(clone / ".venv", ignore_errors=True)
    runs = [
        subprocess.Popen(
            [sys.executable, clone / "tools" / "bootstrap.py"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    told = [run.communicate()[1].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(text.splitlines()[-1] for text in told) == ["environment: ready", "environment: up to date"]
    assert sum("waiting" in text for text in told) == 1
