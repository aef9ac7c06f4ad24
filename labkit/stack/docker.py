"""Docker and docker compose on this machine: whether they can be used, and what their errors mean for a person."""

import re
import shutil
from pathlib import Path

from python_on_whales import DockerClient, DockerException

from labkit.errors import LabError

MIN_COMPOSE = (2, 17)
"""The first that builds an image from a few lines within the compose file (``dockerfile_inline``)."""
WITHOUT = "or without Docker: labkit up --stack embedded"

# What the engine and compose say (as of 20.10 to 28, and of 2.26), and what it is about.
PORT_TAKEN = re.compile(r"(?:listen tcp4? \S*?:(\d+): bind|Bind for \S*?:(\d+) failed|exposing port \S*?:(\d+) ->)")
NAME_TAKEN = re.compile(r"is already in use by container|removal of container \S+ is already in progress")
NOT_PULLED = re.compile(
    r"pull access denied|manifest unknown|manifest for \S+ not found|not found: manifest|failed to resolve (?:source|"
    r"reference)|Get \"?https?://|no such host|TLS handshake|i/o timeout|toomanyrequests|failed to do request|"
    r"repository does not exist|failed size validation|unexpected EOF"
)
FULL = re.compile(r"no space left on device")


class PortTakenError(LabError):
    """Between looking at a port and listening on it, somebody else took it.

    Attributes:
        port: Which one; None where Docker does not say it.
    """

    def __init__(self, message: str, port: int | None) -> None:
        super().__init__(message, "the same command again: it takes the next free port")
        self.port = port


class NameTakenError(LabError):
    """Another compose is still making or removing the same container."""


def connect(files: list[Path], environment: Path, project: str, profiles: list[str]) -> DockerClient:
    """A client of this machine's Docker for one compose project, once it is known to work.

    Args:
        files: Compose files.
        environment: File with the variables they need.
        project: Name that all its containers, networks and volumes begin with.
        profiles: Optional parts to include.

    Raises:
        LabError: Docker is missing or does not answer, or has no compose, or too old a one.
    """
    if shutil.which("docker") is None:
        raise LabError("there is no Docker here", f"install Docker with its compose plugin, {WITHOUT}")
    client = DockerClient(
        compose_files=list(files),
        compose_env_files=[environment],
        compose_project_name=project,
        compose_profiles=profiles,
    )
    _check_engine(client)
    _check_compose(client)
    return client


def explained(error: DockerException) -> LabError:
    """What a failed docker command means for a person."""
    said = "\n".join(filter(None, (error.stderr, error.stdout)))
    line = last_line(said)
    if found := PORT_TAKEN.search(said):
        port = next((group for group in found.groups() if group), None)
        return PortTakenError(f"port {port} was taken by somebody else meanwhile", int(port) if port else None)
    if NAME_TAKEN.search(said):
        return NameTakenError(f"Docker: {line}", "the same command again")
    if NOT_PULLED.search(said):
        culprit = next((text for text in said.splitlines() if NOT_PULLED.search(text)), line).strip()
        return LabError(
            f"an image could not be fetched: {_short(culprit)}",
            "check the network, then the same command again: what has been fetched is kept",
        )
    if FULL.search(said):
        return LabError("Docker's disk is full", "docker system df tells what takes it; make room, then the same again")
    return LabError(f"Docker: {_short(line)}", "labkit doctor --docker")


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no word of what went wrong"


def _check_engine(client: DockerClient) -> None:
    try:
        client.info()
    except DockerException as error:
        line = last_line(error.stderr or "")
        raise _engine_problem(line) from error
    except ValueError as error:  # An answer without an engine's part: pydantic's own text would be a screenful.
        raise _engine_problem("it does not answer") from error


def _engine_problem(line: str) -> LabError:
    if "permission denied" in line.lower():
        return LabError(
            "Docker may not be used by this account",
            f"sudo usermod -aG docker $USER, then log in again; {WITHOUT}",
        )
    return LabError(f"Docker does not answer: {_short(line)}", f"start it (sudo systemctl start docker), {WITHOUT}")


def _check_compose(client: DockerClient) -> None:
    try:
        said = client.compose.version()
    except DockerException:
        said = ""
    found = re.search(r"(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) >= MIN_COMPOSE:
        return
    if found:
        version = f"docker compose {found[0]} is too old"
    elif shutil.which("docker-compose"):
        version = "there is only docker-compose, version 1"
    else:
        version = "Docker has no compose here"
    wanted = ".".join(map(str, MIN_COMPOSE))
    raise LabError(version, f"install the compose plugin, version {wanted} or newer, {WITHOUT}")


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
