"""The jars the lab runs: fetched once, from Maven's central repository or a machine in the room; checked and kept."""

import hashlib
import os
import shutil
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import requests
from filelock import FileLock
from jgo.maven import MavenContext

from labkit.errors import LabError
from labkit.stack.base import Report

LOCK_FILE = Path(__file__).with_name("artifacts.toml")
RUNTIME_GROUPS = ("kafka", "debezium", "ecj")
"""What every lab needs. ``debezium-server`` is fetched on request; ``junit`` is for the project's own tests."""
CONNECTOR = "debezium-connector-postgres"
"""Debezium's folder for it, in its archive and in its images."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One locked file.

    Attributes:
        coordinate: Maven's ``group:artifact:version[:classifier:packaging]``.
        sha256: Checksum the file must have.
        size: Bytes.
    """

    coordinate: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """File name in the cache; the checksum is in it, so that a changed lock never meets an old file."""
        _, artifact, version, *rest = self.coordinate.split(":")
        classifier, packaging = rest or ("", "jar")
        suffix = f"-{classifier}" if classifier else ""
        return f"{artifact}-{version}{suffix}-{self.sha256[:12]}.{packaging}"


def locked(group: str, lock_file: Path = LOCK_FILE) -> list[Artifact]:
    """The locked artifacts of one group."""
    return [Artifact(**entry) for entry in tomllib.loads(lock_file.read_text())[group]]


def sha256(path: Path) -> str | None:
    """Checksum of a file; None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


class ArtifactCache:
    """A folder of verified files.

    Args:
        folder: The cache folder; made when needed.
        lock_file: The list of artifacts.
        mirror: Base URL of a machine in the room that serves them; empty for Maven's central repository.

    Raises:
        LabError: The folder cannot be written.
    """

    def __init__(self, folder: Path, lock_file: Path = LOCK_FILE, mirror: str = "") -> None:
        self.folder = folder
        self._mirror = mirror.rstrip("/")
        self.jars = folder / "jars"
        self._lock_file = lock_file
        try:
            self.jars.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.jars):
                pass
        except OSError as error:
            raise LabError(
                f"the cache folder {folder} cannot be written: {error.strerror}",
                "set LABKIT_CACHE_DIR to a folder of yours",
            ) from error

    def path(self, artifact: Artifact) -> Path:
        """Where an artifact is, or will be."""
        return self.jars / artifact.filename

    def locked(self, group: str) -> list[Artifact]:
        """What the lock file lists for one group."""
        return locked(group, self._lock_file)

    def paths(self, group: str) -> list[Path]:
        """Where the files of one group are, or will be."""
        return [self.path(artifact) for artifact in locked(group, self._lock_file)]

    def missing(self, groups: Sequence[str] = RUNTIME_GROUPS) -> list[Artifact]:
        """Artifacts that are not there, or whose content is not what was locked."""
        wanted = [artifact for group in groups for artifact in locked(group, self._lock_file)]
        return [artifact for artifact in wanted if sha256(self.path(artifact)) != artifact.sha256]

    def fetch(self, groups: Sequence[str] = RUNTIME_GROUPS, report: Report = print) -> None:
        """Fetch what is missing, several files at a time, and verify it.

        Args:
            groups: Groups of the lock file.
            report: Told of progress.

        Raises:
            LabError: A download failed, or a file is not the one that was locked.
        """
        with FileLock(self.folder / "fetch.lock"):
            # With the lock held, whoever left these was killed in the middle of a download.
            for torn in self.folder.glob(".fetch-*"):
                shutil.rmtree(torn, ignore_errors=True)
            missing = self.missing(groups)
            if not missing:
                return
            total = sum(artifact.size for artifact in missing)
            report(f"jars: fetching {len(missing)} files, {total / 1e6:.0f} MB, once for this user")
            done = 0
            with ThreadPoolExecutor(8) as pool:
                jobs = {pool.submit(self._fetch_one, artifact): artifact for artifact in missing}
                try:
                    for count, job in enumerate(as_completed(jobs), start=1):
                        job.result()
                        before, done = done, done + jobs[job].size
                        if count == len(jobs) or done * 10 // total > before * 10 // total:
                            report(f"jars: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise

    def _fetch_one(self, artifact: Artifact) -> None:
        # A file is written straight to its target: give it a folder of its own, so that a torn download never looks
        # whole.
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".fetch-") as folder:
            download = self._from_mirror if self._mirror else self._from_maven
            try:
                fetched = download(artifact, Path(folder))
            except Exception as error:
                raise LabError(
                    f"could not fetch {artifact.coordinate}: {error}",
                    f"check that {self._mirror} can be reached"
                    if self._mirror
                    else "check the network, then run the same command again; what has been fetched is kept",
                ) from error
            found = sha256(fetched)
            if found != artifact.sha256:
                raise LabError(
                    f"{artifact.coordinate} has checksum {str(found)[:12]}… and not {artifact.sha256[:12]}…",
                    "run the same command again; if it stays, a proxy on the way changes files",
                )
            os.replace(fetched, self.path(artifact))

    @staticmethod
    def _from_maven(artifact: Artifact, folder: Path) -> Path:
        group, name, version, *rest = artifact.coordinate.split(":")
        classifier, packaging = rest or ("", "jar")
        component = MavenContext(repo_cache=folder, timeout=60).project(group, name).at_version(version)
        return component.artifact(classifier=classifier, packaging=packaging).resolve()

    def _from_mirror(self, artifact: Artifact, folder: Path) -> Path:
        target = folder / artifact.filename
        with requests.Session() as session:
            # The machine stands in the room: no proxy that the environment names can reach it.
            session.trust_env = False
            with session.get(f"{self._mirror}/jars/{artifact.filename}", stream=True, timeout=60) as answer:
                answer.raise_for_status()
                with target.open("wb") as file:
                    file.writelines(answer.iter_content(2**20))
        return target

    def unpack_plugin(self) -> Path:
        """Unpack the Debezium connector once.

        Returns:
            The folder of the connector's jars. The folder that it is in is one for Connect's ``plugin.path``.
        """
        (archive,) = self.paths("debezium")
        plugins = self.folder / "plugins" / archive.name.removesuffix(".tar.gz")
        if not plugins.is_dir():
            staging = Path(tempfile.mkdtemp(dir=self.folder, prefix=".unpack-"))
            with tarfile.open(archive) as tar:
                # Python before 3.11.4 (Debian 12's) has no filters; the archive's checksum has been verified.
                tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
                tar.extractall(staging)
            plugins.parent.mkdir(exist_ok=True)
            try:
                os.replace(staging, plugins)
            except OSError:
                # Another start was quicker; its copy is the same.
                shutil.rmtree(staging)
        return plugins / CONNECTOR
