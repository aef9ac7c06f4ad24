"""A room without internet: gather all that the lab fetches on one machine, and serve it to the others.

    python tools/room.py fill build/room     packages, jars and the project itself, some 600 MB;
                                             --server and --engine spark, say, more
    python tools/room.py serve build/room    serves them until Ctrl-C, and prints what attendees type

The packages are those for this kind of machine: system, processor, Python's version.
"""

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import psutil
import typer

from labkit.engines.catalog import Packages, find_packages
from labkit.errors import LabError
from labkit.settings import CHECKOUT, load_settings
from labkit.stack import debezium_server
from labkit.stack.artifacts import RUNTIME_GROUPS, ArtifactCache

PORT = 8765
LOCKS = (CHECKOUT / "requirements-uv.txt", CHECKOUT / "requirements.txt")
PROJECT = "labkit.git"
SERVED = ("spark",)
"""Engines that were seen to install from a room. Flink's packages do not yet."""

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)


def say(line: str) -> None:
    """Tell of progress."""
    print("room: " + line, file=sys.stderr, flush=True)


@app.command()
def fill(
    folder: Path,
    lock: Annotated[list[Path] | None, typer.Option(help="Lock files; by default all that make lab needs.")] = None,
    server: Annotated[bool, typer.Option(help="Debezium Server, too: 782 MB more.")] = False,
    engine: Annotated[
        list[str] | None,
        typer.Option(help=f"What an engine is made of, too: {', '.join(SERVED)}."),
    ] = None,
) -> None:
    """Gather everything. A second run fetches only what is missing."""
    engines = [_gatherable(find_packages(name)) for name in engine or []]
    folder.mkdir(parents=True, exist_ok=True)
    _gather_packages(folder / "wheels", lock or list(LOCKS))
    for packages in engines:
        say(f"{packages.title}: about {packages.download_mib} MiB")
        # Some of theirs are only there as sources.
        _gather_packages(folder / "wheels", [packages.lock], wheels_only=False)
    engine_jars = [packages.jars for packages in engines if packages.jars]
    groups = [*RUNTIME_GROUPS, *([debezium_server.GROUP] if server else []), *engine_jars]
    _gather_jars(folder / "jars", groups)
    _gather_project(folder / PROJECT)
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"ready: {total / 1e6:,.0f} MB in {folder}. Now: make serve-room")


@app.command()
def serve(
    folder: Path,
    host: Annotated[str, typer.Option(help="Address to listen on; by default all of this machine's.")] = "0.0.0.0",
    port: Annotated[int, typer.Option()] = PORT,
) -> None:
    """Serve what was gathered, until Ctrl-C. Whoever is on the network can read it; nobody can write."""
    if not (folder / PROJECT).is_dir():
        raise LabError(f"nothing has been gathered in {folder}", "make room")
    try:
        server = ThreadingHTTPServer((host, port), partial(_QuietHandler, directory=str(folder)))
    except OSError as error:
        raise LabError(
            f"port {port} cannot be listened on: {error.strerror}", "choose another one with --port"
        ) from error
    for address in [host] if host != "0.0.0.0" else _addresses():
        base = f"http://{address}:{server.server_port}"
        say(f"attendees type: git clone {base}/{PROJECT} && cd labkit && make lab MIRROR={base}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        say("stopped")
    finally:
        server.server_close()


class _QuietHandler(SimpleHTTPRequestHandler):
    """Serves files; a line for each of some hundred packages would hide what attendees shall type."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def _gatherable(packages: Packages) -> Packages:
    if packages.name not in SERVED:
        raise LabError(
            f"{packages.title} cannot be installed from a room", f"at home: labkit engine install {packages.name}"
        )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version not in packages.pythons:
        raise LabError(
            f"{packages.title} wants a Python {' or '.join(packages.pythons)}, and this lab's is {version}",
            f"gather it in another clone: uv venv --python {packages.pythons[-1]} .venv && make setup, then this again",
        )
    return packages


def _gather_packages(folder: Path, locks: list[Path], *, wheels_only: bool = True) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    say(f"packages for Python {version}")
    with tempfile.TemporaryDirectory() as temporary:
        # uv cannot download without installing; pip can, and an environment of uv's has none.
        subprocess.run([sys.executable, "-m", "venv", temporary], check=True)
        pip = [f"{temporary}/bin/python", "-m", "pip", "download", "--disable-pip-version-check", "-q"]
        # uv, which locks and installs them, minds no upper bound of a package's Python; pip would.
        options = ["--require-hashes", "--no-deps", "--ignore-requires-python", "--dest", str(folder)]
        options.append("--only-binary=:all:" if wheels_only else "--prefer-binary")
        for lock in locks:
            if subprocess.call([*pip, *options, "-r", str(lock)]):
                raise LabError(f"the packages of {lock.name} could not be fetched", "check the network, try again")
    say(f"{len(list(folder.iterdir()))} packages")


def _gather_jars(folder: Path, groups: list[str]) -> None:
    settings = load_settings()
    cache = ArtifactCache(settings.cache_dir, mirror=settings.mirror)
    cache.fetch(groups, report=say)
    folder.mkdir(exist_ok=True)
    wanted = [path for group in groups for path in cache.paths(group)]
    for path in wanted:
        if not (folder / path.name).exists():
            shutil.copy(path, folder)
    say(f"{len(wanted)} jars")


def _gather_project(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    git = partial(subprocess.run, check=True)
    git(["git", "clone", "-q", "--bare", str(CHECKOUT), str(folder)])
    # What a clone by plain HTTP reads instead of asking a Git server.
    git(["git", "-C", str(folder), "update-server-info"])
    say("the project itself, as it is committed")


def _addresses() -> list[str]:
    found = [
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family.name == "AF_INET"
    ]
    return [address for address in found if not address.startswith("127.")] or ["127.0.0.1"]


if __name__ == "__main__":
    try:
        app(standalone_mode=True)
    except LabError as error:
        say(str(error))
        sys.exit(1)
