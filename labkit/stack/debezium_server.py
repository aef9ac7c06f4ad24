"""Debezium Server: fetched on request, unpacked as far as the lab needs it, and the command lines that start it.

Its distribution holds every connector and every sink there is. What the lab runs of it is a tenth, listed by name in
debezium_server.txt: the jars that it loads a class from when it captures PostgreSQL for Kafka and for HTTP.
"""

import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from labkit.errors import LabError
from labkit.settings import CAPTURE_ROUTES, HTTP_ROUTE, HTTP_SCORER, Settings
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.base import Report
from labkit.stack.java import class_archive, java_command
from labkit.stack.keeper import SCORER_ARGUMENTS, Program, scorer_environment

GROUP = "debezium-server"
"""Its group in artifacts.toml, which nothing fetches unless Debezium Server is asked for."""
JAR_LIST = Path(__file__).with_name("debezium_server.txt")
ROOT = "debezium-server/"
PROPERTIES = "application.properties"
IN_A_CONTAINER = (8080, "0.0.0.0")
"""The port and the address it listens at there; what of it is to be seen outside, the compose file says."""


def needed() -> list[str]:
    """Paths of the files the lab runs, below the distribution's only folder."""
    return [line for line in JAR_LIST.read_text().splitlines() if line and not line.startswith("#")]


def prepare(cache: ArtifactCache, report: Report) -> list[Path]:
    """Fetch the distribution, unpack what is needed of it and throw the rest away, unless that was done before.

    The folder appears whole or not at all, and carries the archive's checksum in its name.

    Returns:
        Its class path.

    Raises:
        LabError: It could not be fetched, or does not hold what the list names.
    """
    (archive,) = cache.paths(GROUP)
    folder = cache.folder / "servers" / archive.name.removesuffix(".tar.gz")
    if not folder.is_dir():
        (artifact,) = cache.locked(GROUP)
        report(
            f"Debezium Server: its distribution has {artifact.size / 1e6:.0f} MB, fetched once for this user; "
            "a tenth of it is kept"
        )
        cache.fetch([GROUP], report)
        with FileLock(cache.folder / "fetch.lock"):
            if not folder.is_dir():  # Another start may have been quicker.
                _unpack(archive, folder, cache.folder)
            archive.unlink(missing_ok=True)
    return [folder / Path(name).name for name in needed()]


def _unpack(archive: Path, folder: Path, cache: Path) -> None:
    # With the lock held, whoever left these was killed in the middle.
    for torn in cache.glob(".server-*"):
        shutil.rmtree(torn, ignore_errors=True)
    missing = {ROOT + name for name in needed()}
    staging = Path(tempfile.mkdtemp(dir=cache, prefix=".server-"))
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.name in missing else None
                if content is not None:
                    with content, (staging / Path(member.name).name).open("wb") as file:
                        shutil.copyfileobj(content, file)
                    missing.remove(member.name)
        if missing:
            raise LabError(
                f"{archive.name} does not hold {min(missing)}", "name what it holds in labkit/stack/debezium_server.txt"
            )
        folder.parent.mkdir(exist_ok=True)
        staging.chmod(0o755)
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def service(route: str) -> str:
    """Name of the program that captures one route."""
    return f"server-{route}"


def names() -> list[str]:
    """Names of all that `programs` makes: each listens on a port."""
    return [*map(service, (*CAPTURE_ROUTES, HTTP_ROUTE)), HTTP_SCORER]


def folder(settings: Settings, route: str) -> Path:
    """The folder of one route's configuration."""
    return settings.home / "server" / route


def command(classpath: Sequence[Path], settings: Settings, route: str) -> list[str]:
    """Command line of one Debezium Server.

    Args:
        classpath: As `prepare` returned it, and the folder or jar of our plugins.
        settings: The lab's.
        route: Its route; all of them load the same classes.
    """
    return [
        *java_command(
            classpath,
            settings.server_heap_mib,
            compiler_level=settings.capture_compiler_level,
            archive=class_archive(settings, "debezium-server", classpath),
        ),
        f"-Dquarkus.config.locations={folder(settings, route) / PROPERTIES}",
        "io.debezium.server.Main",
        # It reads no arguments. This one says whose process it is, for whoever clears up after a killed supervisor.
        str(folder(settings, route)),
    ]


def programs(settings: Settings, classpath: Sequence[Path]) -> list[Program]:
    """One process for each route, and the scorer that one of them posts to; each starts once its route is captured."""
    servers = [
        Program(service(route), command(classpath, settings, route), autostart=False)
        for route in (*CAPTURE_ROUTES, HTTP_ROUTE)
    ]
    scorer = [sys.executable, *SCORER_ARGUMENTS, "--from", "http"]
    return [*servers, Program(HTTP_SCORER, scorer, autostart=False, environment=scorer_environment(settings))]
