"""The cache of jars, with real downloads of the smallest locked one: what is not as locked never stays."""

import re
import threading
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from labkit.engines.catalog import ENGINES
from labkit.errors import LabError
from labkit.stack import debezium_server
from labkit.stack.artifacts import LOCK_FILE, RUNTIME_GROUPS, Artifact, ArtifactCache, locked, sha256

GROUPS = ["small"]
SMALLEST = min((artifact for group in RUNTIME_GROUPS for artifact in locked(group)), key=lambda found: found.size)


def make_cache(folder: Path, artifact: Artifact = SMALLEST) -> ArtifactCache:
    """A cache in a folder of its own, with a lock of one artifact."""
    lock = folder / "lock.toml"
    lock.write_text(
        f'[[small]]\ncoordinate = "{artifact.coordinate}"\nsha256 = "{artifact.sha256}"\nsize = {artifact.size}\n'
    )
    return ArtifactCache(folder / "cache", lock)


def leftovers(cache: ArtifactCache) -> list[str]:
    """Everything in the cache apart from its lock and the empty folder for jars."""
    names = [str(path.relative_to(cache.folder)) for path in cache.folder.rglob("*")]
    return sorted(set(names) - {"fetch.lock", "jars"})


def test_lock_is_whole() -> None:
    groups = tomllib.loads(LOCK_FILE.read_text())
    engines = {engine.packages.jars for engine in ENGINES.values()}
    assert {*RUNTIME_GROUPS, debezium_server.GROUP, *engines, "junit"} == groups.keys()
    artifacts = [artifact for group in groups for artifact in locked(group)]
    assert all(re.fullmatch("[0-9a-f]{64}", artifact.sha256) and artifact.size > 0 for artifact in artifacts)
    assert len({artifact.filename for artifact in artifacts}) == len({artifact.coordinate for artifact in artifacts})


def test_file_names_tell_version_classifier_and_checksum() -> None:
    checksum = "0123456789abcdef" * 4
    assert Artifact("g.h:a:1.2", checksum, 1).filename == "a-1.2-0123456789ab.jar"
    assert Artifact("g.h:a:1.2:plugin:tar.gz", checksum, 1).filename == "a-1.2-plugin-0123456789ab.tar.gz"


def test_fetched_file_is_the_locked_one_and_stays(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    assert cache.missing(GROUPS) == [SMALLEST]
    told: list[str] = []
    cache.fetch(GROUPS, told.append)
    (path,) = cache.paths("small")
    assert sha256(path) == SMALLEST.sha256 and path.stat().st_size == SMALLEST.size
    assert leftovers(cache) == [f"jars/{path.name}"]
    assert len(told) == 2

    before = path.stat()
    cache.fetch(GROUPS, told.append)
    assert path.stat().st_mtime_ns == before.st_mtime_ns and path.stat().st_ino == before.st_ino
    assert len(told) == 2


def test_damaged_file_of_the_right_size_is_fetched_anew(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    path = cache.path(SMALLEST)
    path.write_bytes(b"x" * SMALLEST.size)
    assert cache.missing(GROUPS) == [SMALLEST]
    cache.fetch(GROUPS, lambda _: None)
    assert sha256(path) == SMALLEST.sha256


def test_download_that_is_not_the_locked_one_is_refused_and_not_kept(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, replace(SMALLEST, sha256="0" * 64))
    with pytest.raises(LabError, match=f"{SMALLEST.coordinate} has checksum {SMALLEST.sha256[:12]}… and not 0000"):
        cache.fetch(GROUPS, lambda _: None)
    assert leftovers(cache) == []


def test_artifact_that_is_not_there_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    group, name, _ = SMALLEST.coordinate.split(":")
    cache = make_cache(tmp_path, replace(SMALLEST, coordinate=f"{group}:{name}:0.0.0-none"))
    with pytest.raises(LabError, match=f"could not fetch {group}:{name}:0.0.0-none"):
        cache.fetch(GROUPS, lambda _: None)
    assert leftovers(cache) == []


def test_rest_of_a_killed_download_is_cleared_away(tmp_path: Path) -> None:
    cache = make_cache(tmp_path)
    torn = cache.folder / ".fetch-killed"
    torn.mkdir()
    (torn / "half.jar").write_bytes(b"half")
    cache.fetch(GROUPS, lambda _: None)
    assert leftovers(cache) == [f"jars/{SMALLEST.filename}"]


def test_two_fetches_at_once_download_once(tmp_path: Path) -> None:
    told: list[str] = []
    caches = [make_cache(tmp_path) for _ in range(2)]
    threads = [threading.Thread(target=cache.fetch, args=(GROUPS, told.append)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line for line in told if "fetching" in line] == ["jars: fetching 1 files, 0 MB, once for this user"]
    assert caches[0].missing(GROUPS) == []


def test_folder_that_cannot_be_written_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"file/below cannot be written.*LABKIT_CACHE_DIR"):
        ArtifactCache(tmp_path / "file" / "below")
