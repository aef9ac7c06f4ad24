"""Debezium Server's distribution: unpacked whole or not at all, and no more of it than is needed."""

import io
import tarfile
from pathlib import Path

import pytest

from labkit.errors import LabError
from labkit.stack.artifacts import ArtifactCache, sha256
from labkit.stack.debezium_server import GROUP, JAR_LIST, needed, prepare


def pack(path: Path, names: list[str]) -> None:
    """An archive of the distribution's form, with a line in each file."""
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            info = tarfile.TarInfo(f"debezium-server/{name}")
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    """A cache that holds an archive with what is needed, and something else."""
    archive = tmp_path / "archive.tar.gz"
    pack(archive, ["lib/mysql.jar", *needed()])
    return cache_with(tmp_path, archive)


def cache_with(tmp_path: Path, archive: Path) -> ArtifactCache:
    """A cache into which this archive has been fetched."""
    lock = tmp_path / "lock.toml"
    lock.write_text(
        f'[[{GROUP}]]\ncoordinate = "io.debezium:debezium-server-dist:1::tar.gz"\nsha256 = "{sha256(archive)}"\n'
        f"size = {archive.stat().st_size}\n"
    )
    cache = ArtifactCache(tmp_path / "cache", lock)
    (path,) = cache.paths(GROUP)
    archive.rename(path)
    return cache


def test_the_list_names_each_jar_once_and_no_other_database() -> None:
    names = needed()
    assert len(set(names)) == len(names) > 100
    connectors = [name for name in names if "/debezium-connector-" in name]
    assert [name.split("-")[2] for name in connectors] == ["common", "postgres"]
    assert sum(name.endswith("-runner.jar") for name in names) == 1
    assert JAR_LIST.read_text().startswith("#")


def test_only_what_is_needed_stays_and_its_size_is_told_first(cache: ArtifactCache) -> None:
    told: list[str] = []
    paths = prepare(cache, told.append)
    assert "0 MB, fetched once for this user" in told[0]
    assert [path.name for path in paths] == [Path(name).name for name in needed()]
    assert all(path.read_text().endswith(path.name) for path in paths)
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)
    assert not cache.paths(GROUP)[0].exists(), "the archive is ten times as large"
    assert prepare(cache, told.append) == paths and len(told) == 1


def test_an_unpacking_that_was_killed_is_cleared_away(cache: ArtifactCache) -> None:
    torn = cache.folder / ".server-killed"
    torn.mkdir()
    (torn / "half.jar").write_bytes(b"half")
    prepare(cache, lambda _: None)
    assert not torn.exists()


def test_an_archive_that_lacks_a_jar_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar.gz"
    pack(archive, needed()[:-1])
    cache = cache_with(tmp_path, archive)
    with pytest.raises(LabError, match=needed()[-1]):
        prepare(cache, lambda _: None)
    assert not (cache.folder / "servers").exists()
    assert not list(cache.folder.glob(".server-*"))


def test_a_damaged_archive_is_not_unpacked(cache: ArtifactCache) -> None:
    (path,) = cache.paths(GROUP)
    path.write_bytes(path.read_bytes()[:-10])
    # Its coordinate leads nowhere: with a damaged file it must be asked for again.
    with pytest.raises(LabError, match="could not fetch io.debezium:debezium-server-dist:1"):
        prepare(cache, lambda _: None)
    assert not (cache.folder / "servers").exists()
