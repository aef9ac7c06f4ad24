"""A room without internet, for real: gathered, served, cloned, and set up from nothing but the machine in the room."""

import os
import re
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labkit.engines.catalog import PACKAGES
from labkit.engines.environment import EngineEnvironment
from labkit.errors import LabError
from labkit.settings import CHECKOUT, Settings, load_settings
from labkit.stack.artifacts import RUNTIME_GROUPS, ArtifactCache, locked
from tests.small_engine import small_packages
from tests.test_artifacts import GROUPS, SMALLEST, make_cache
from tests.test_bootstrap import BUILDERS
from tests.test_bootstrap import locked as locked_packages

TOOL = [sys.executable, CHECKOUT / "tools" / "room.py"]
NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "UV_DEFAULT_INDEX": "http://127.0.0.1:9/"}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with uv, the few packages that build labkit, every jar and the project."""
    folder = tmp_path_factory.mktemp("room")
    lock = folder / "few.txt"
    lock.write_text(locked_packages(BUILDERS))
    command = [*TOOL, "fill", folder / "gathered", "--lock", lock, "--lock", CHECKOUT / "requirements-uv.txt"]
    filled = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert filled.returncode == 0, filled.stderr
    assert "make serve-room" in filled.stderr
    return folder / "gathered"


@pytest.fixture(scope="module")
def address(room: Path) -> Iterator[str]:
    """Where the room is served, on this machine only."""
    with served(room) as address:
        yield address


@contextmanager
def served(room: Path) -> Generator[str]:
    """Serve a room."""
    command = [*TOOL, "serve", room, "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.search(r"attendees type: git clone (http\S+)/labkit\.git .* MIRROR=(\S+)", line)
        assert found and found[1] == found[2], line
        try:
            yield found[1]
        finally:
            server.terminate()


def test_the_project_is_cloned_and_set_up_from_the_room_alone(address: str, tmp_path: Path) -> None:
    clone = tmp_path / "labkit"
    subprocess.run(["git", "clone", "-q", f"{address}/labkit.git", clone], check=True, timeout=120)
    assert (clone / "labkit" / "lab.py").is_file()
    (clone / "requirements.txt").write_text(locked_packages(BUILDERS))
    # Neither a cache nor an index: what is not in the room cannot be had.
    without = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "uv").exists()]
    environment = os.environ | NOWHERE | without | {"LABKIT_MIRROR": address, "PATH": os.pathsep.join(path)}
    bootstrap = [sys.executable, clone / "tools" / "bootstrap.py"]
    done = subprocess.run(bootstrap, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0 and done.stderr.splitlines()[-1] == "environment: ready", done.stderr
    assert "fetching uv" in done.stderr
    (clone / "requirements.txt").write_text(locked_packages((*BUILDERS, "rich")))
    missing = subprocess.run(bootstrap, capture_output=True, text=True, env=environment, timeout=300)
    assert missing.returncode == 1 and f"check {address}" in missing.stderr


def test_jars_come_from_the_room_with_the_same_checks(room: Path, address: str, tmp_path: Path) -> None:
    everything = [artifact for group in RUNTIME_GROUPS for artifact in locked(group)]
    assert {path.name for path in (room / "jars").iterdir()} == {artifact.filename for artifact in everything}
    lock = make_cache(tmp_path).folder.parent / "lock.toml"
    cache = ArtifactCache(tmp_path / "fetched", lock, address + "/")
    cache.fetch(GROUPS, lambda _: None)
    assert cache.missing(GROUPS) == []

    served = room / "jars" / SMALLEST.filename
    content = served.read_bytes()
    try:
        served.write_bytes(content[:-1])
        with pytest.raises(LabError, match="has checksum"):
            ArtifactCache(tmp_path / "torn", lock, address).fetch(GROUPS, lambda _: None)
        served.unlink()
        with pytest.raises(LabError, match=f"check that {address} can be reached"):
            ArtifactCache(tmp_path / "missing", lock, address).fetch(GROUPS, lambda _: None)
    finally:
        served.write_bytes(content)


def test_serving_says_what_is_in_the_way(room: Path, address: str, tmp_path: Path) -> None:
    port = address.rpartition(":")[2]
    cases = {
        "make room": [tmp_path / "empty"],
        f"port {port} cannot be listened on": [room, "--host", "127.0.0.1", "--port", port],
    }
    for words, arguments in cases.items():
        refused = subprocess.run([*TOOL, "serve", *arguments], capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and words in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.on_demand
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", ["spark"])
def test_an_engine_is_installed_from_the_room_alone(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, room = tmp_path / "few.txt", tmp_path / "room"
    few.write_text(locked_packages(("setuptools",)))  # It builds what an engine has as sources only.
    gathered = subprocess.run([*TOOL, "fill", room, "--lock", few, "--engine", engine], capture_output=True, text=True)
    assert gathered.returncode == 0, gathered.stderr
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    told: list[str] = []
    with served(room) as address:
        environment = EngineEnvironment(PACKAGES[engine], Settings(cache_dir=tmp_path / "cache", mirror=address))
        environment.install(told.append)
    assert environment.installed and not [line for line in told if "package index" in line]


def test_what_the_room_lacks_of_an_engine_comes_from_the_package_index(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    settings = Settings(cache_dir=tmp_path / "cache", mirror=address)
    EngineEnvironment(small_packages(tmp_path), settings).install(told.append)
    assert [line for line in told if f"A small engine: not from {address}" in line]
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    elsewhere = settings.model_copy(update={"cache_dir": tmp_path / "other"})
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(LabError, match="A small engine could not be installed"):
        EngineEnvironment(small_packages(tmp_path), elsewhere).install(told.append)


def test_an_engine_that_is_none_is_named(tmp_path: Path) -> None:
    command = [*TOOL, "fill", tmp_path / "room", "--engine", "sparc"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "did you mean 'spark'?" in refused.stderr
    refused = subprocess.run([*command[:-1], "flink"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "cannot be installed from a room" in refused.stderr
    assert not (tmp_path / "room").exists()


@pytest.mark.parametrize("mirror", ["teacher:8765", "ftp://teacher", "http://a b"])
def test_a_mirror_is_an_address(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_MIRROR", mirror)
    load_settings.cache_clear()
    try:
        with pytest.raises(LabError, match="mirror"):
            load_settings()
    finally:
        monkeypatch.undo()
        load_settings.cache_clear()
