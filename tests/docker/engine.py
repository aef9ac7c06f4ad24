"""A Docker engine of the tests' own, for root on a Debian: installed when missing, private, stopped by its process id.

Official images cannot be pulled everywhere the tests run. Compose and buildx are not in every Debian: they come from
the release after this one, by apt, from the sources that this machine has.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock

PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "iptables": "iptables", "mmdebstrap": "mmdebstrap"}
"""Programs an engine with stand-ins needs, and Debian's packages that hold them."""
PLUGINS = ("docker-compose", "docker-buildx")
NEXT_RELEASE = {"bookworm": "trixie"}
START_TIMEOUT_S = 60.0


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; where it fails, show what it said."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # pyright: ignore
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}")
    return result


def install_packages() -> None:
    """Install the engine and what makes the base image, where they are missing."""
    missing = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if missing:
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def release() -> str:
    """Code name of this machine's Debian."""
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME="))


def install_plugins(folder: Path) -> Path:
    """Put compose and buildx into a folder for Docker's configuration, unless they are there.

    Returns:
        The folder, for DOCKER_CONFIG.
    """
    target = folder / "cli-plugins"
    if all((target / plugin).is_file() for plugin in PLUGINS):
        return folder
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        # apt downloads as an account of its own.
        work.chmod(0o755)
        apt = _apt_of_the_next_release(work)
        run(*apt, "update", "-qq")
        run(*apt, "download", *PLUGINS, cwd=work)
        for package in work.glob("*.deb"):
            run("dpkg-deb", "-x", package, work / "files")
        target.mkdir(parents=True, exist_ok=True)
        for plugin in PLUGINS:
            shutil.move(work / "files" / "usr/libexec/docker/cli-plugins" / plugin, target / plugin)
    return folder


def _apt_of_the_next_release(work: Path) -> list[str]:
    """An apt-get that reads this machine's sources as if it were the next release, and keeps its lists to itself."""
    here = release()
    there = NEXT_RELEASE.get(here, here)
    sources = work / "sources.d"
    for path in (sources, work / "lists" / "partial", work / "cache"):
        path.mkdir(parents=True)
    for path in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").iterdir()]:
        if path.is_file() and path.suffix in {".list", ".sources"}:
            (sources / path.name).write_text(path.read_text().replace(here, there))
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": sources,
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "Acquire::Languages": "none",
    }
    return ["apt-get", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]


@contextmanager
def private_engine(folder: Path) -> Iterator[Mapping[str, str]]:
    """A running engine with a socket, a data folder and a process id of its own.

    Args:
        folder: Keeps images and plugins from one run to the next.

    Yields:
        What a client's environment needs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pid_file = folder / "docker.pid"
    with (
        # Tests of two clones share the images, and so take turns.
        FileLock(folder / "engine.lock"),
        # A socket's path may have 107 bytes at most.
        tempfile.TemporaryDirectory(prefix="labkit-docker-") as runtime,
        (folder / "dockerd.log").open("w") as log,
    ):
        install_packages()
        plugins = install_plugins(folder / "config")
        _stop_left_over(pid_file, folder)
        socket = f"unix://{runtime}/docker.sock"
        command = ["dockerd", "--host", socket, "--data-root", str(folder / "data"), "--pidfile", str(pid_file)]
        engine = subprocess.Popen(
            [*command, "--exec-root", f"{runtime}/exec"],
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the tests, which stop their containers first.
            start_new_session=True,
        )
        environment = {"DOCKER_HOST": socket, "DOCKER_CONFIG": str(plugins)}
        try:
            _wait_until_it_answers(engine, os.environ | environment, folder / "dockerd.log")
            yield environment
        finally:
            engine.send_signal(signal.SIGTERM)
            try:
                engine.wait(timeout=60)
            except subprocess.TimeoutExpired:
                engine.kill()
                engine.wait()
            # A container on the machine's own network leaves that mounted there.
            for mounted in Path(runtime, "exec", "netns").glob("*"):
                subprocess.run(["umount", mounted], check=True)


def _wait_until_it_answers(engine: subprocess.Popen[bytes], environment: Mapping[str, str], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while subprocess.run(["docker", "info"], env=environment, capture_output=True).returncode != 0:
        if engine.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"dockerd does not answer:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def _stop_left_over(pid_file: Path, folder: Path) -> None:
    """End an engine of a test run that was killed, if it is really ours."""
    try:
        process = psutil.Process(int(pid_file.read_text()))
        if str(folder / "data") in process.cmdline():
            process.terminate()
            process.wait(timeout=60)
    except (FileNotFoundError, ValueError, psutil.Error):
        pass
    pid_file.unlink(missing_ok=True)
