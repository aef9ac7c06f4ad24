"""The lab on docker compose: real servers in containers, killed, stopped, interrupted and switched."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from labkit import Lab, LabError
from labkit.digits import load_digits
from labkit.model.store import ModelStore
from labkit.settings import CHECKOUT, TEST_TABLE, load_settings
from labkit.stack.compose import ComposeStack
from labkit.stack.compose_environment import COMPOSE_FILE, environment_file
from labkit.stack.ports import choose_port, free_port
from tests.binder.build import build_python

DIGIT = load_digits("bundled", "test").images[0]
RATE, BETWEEN_KILLS_S = 20.0, 5.0


def docker(*arguments: str) -> list[str]:
    """What the docker command prints, line by line."""
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def left_of(lab: Lab) -> list[str]:
    """What Docker holds of a lab: containers, networks and volumes, nameless ones, too, and images of its own."""
    assert isinstance(lab.stack, ComposeStack)
    project = f"label=com.docker.compose.project={lab.stack.project}"
    found = docker("ps", "-aq", "--filter", project)
    found += docker("network", "ls", "-q", "--filter", project)
    found += docker("volume", "ls", "-q", "--filter", project)
    found += docker("volume", "ls", "-q", "--filter", "dangling=true")
    return found + [name for name in docker("images", "--format", "{{.Repository}}") if lab.stack.project in name]


def labkit(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line for the lab of one home."""
    return subprocess.run(
        [sys.executable, "-m", "labkit", *arguments],
        env=os.environ | {"LABKIT_HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="module")
def scoring_compose_lab(compose_lab: Lab, scoring_lab: Lab) -> Lab:
    """The compose lab with both connectors and the model of the embedded one."""
    store = ModelStore(scoring_lab.settings.home / "models")
    compose_lab.capture()
    compose_lab.publish(store.load(store.current_version() or ""))
    # Its scorer loads TensorFlow, which takes its time on a busy machine.
    compose_lab.insert(DIGIT, 1)
    compose_lab.wait_until(lambda: compose_lab.ledger().lost == 0, "the scorer works", timeout_s=180)
    return compose_lab


def test_two_labs_at_once_have_ports_of_their_own(scoring_lab: Lab, compose_lab: Lab) -> None:
    def ports(lab: Lab) -> set[int | None]:
        endpoints = lab.endpoints
        return {endpoints.postgres_port, endpoints.kafka_port, endpoints.connect_port}

    assert len(ports(scoring_lab) | ports(compose_lab)) == 6
    assert (scoring_lab.endpoints.stack, compose_lab.endpoints.stack) == ("embedded", "compose")


def test_status_tells_of_containers_and_of_the_scorer(scoring_compose_lab: Lab) -> None:
    lab = scoring_compose_lab
    found = {status.name: status for status in lab.status()}
    assert {"postgres", "kafka", "connect", "scorer"} <= set(found)
    for name in ("postgres", "kafka", "connect"):
        assert found[name].healthy, found[name]
        assert 10 < found[name].rss_mib < 640
        assert found[name].uptime_s > 0
        assert found[name].address.startswith("127.0.0.1:")
    assert "ready to accept connections" in lab.stack.log("postgres", 200)
    result = labkit(lab.settings.home, "logs", "connect", "--lines", "5")
    assert result.returncode == 0
    assert 0 < len(result.stdout.splitlines()) <= 5


def test_containers_are_unprivileged_and_listen_on_loopback_only(compose_lab: Lab) -> None:
    pids = {status.name: status.pid for status in compose_lab.stack.status() if status.name != "scorer"}
    for name, pid in pids.items():
        assert pid is not None
        process = psutil.Process(pid)
        assert process.uids().real != 0, name
        limits = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"CapEff:\s+0+$", limits, re.MULTILINE), name
        assert re.search(r"NoNewPrivs:\s+1$", limits, re.MULTILINE), name
    ports = {compose_lab.endpoints.postgres_port, compose_lab.endpoints.kafka_port, compose_lab.endpoints.connect_port}
    listening = [c.laddr for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port in ports]
    assert {(address.ip, address.port) for address in listening} == {("127.0.0.1", port) for port in ports}


def test_no_image_holds_a_password_and_its_file_is_the_owners(compose_lab: Lab) -> None:
    assert isinstance(compose_lab.stack, ComposeStack)
    path = environment_file(compose_lab.settings)
    assert path.stat().st_mode & 0o777 == 0o600
    password = compose_lab.endpoints.admin_password
    assert f"LABKIT_ADMIN_PASSWORD={password}\n" in path.read_text()
    image = f"{compose_lab.stack.project}-connect"
    told = "\n".join([*docker("image", "inspect", image), *docker("history", "--no-trunc", image)])
    assert "labkit-plugins.jar" in told
    assert password not in told


def test_a_second_up_changes_nothing(compose_lab: Lab) -> None:
    before = {status.name: status.pid for status in compose_lab.stack.status()}
    lines: list[str] = []
    compose_lab.up(lines.append)
    assert {status.name: status.pid for status in compose_lab.stack.status()} == before
    assert not any("taken" in line for line in lines)


def test_every_container_killed_in_one_stream(scoring_compose_lab: Lab) -> None:
    lab = scoring_compose_lab
    before = len(lab.tables.labels(TEST_TABLE))
    sent: list[int] = []
    failures: list[BaseException] = []
    enough = threading.Event()

    def send() -> None:
        try:
            while not enough.wait(1 / RATE):
                sent.append(lab.insert(DIGIT, 3))
        except BaseException as error:
            failures.append(error)

    stream = threading.Thread(target=send)
    stream.start()
    killed: dict[str, int | None] = {}
    try:
        for service in ("kafka", "connect", "postgres", "scorer"):
            (killed[service],) = [status.pid for status in lab.stack.status() if status.name == service]
            # The process itself: what `docker kill` ends, Docker does not start again.
            os.kill(killed[service] or 0, signal.SIGKILL)
            seen = len(sent)
            time.sleep(BETWEEN_KILLS_S)
            lab.wait_until(lambda seen=seen: len(sent) > seen or bool(failures), "the stream goes on", timeout_s=90)
    finally:
        enough.set()
        stream.join(timeout=120)
    assert not failures, failures

    # By itself: nothing but waiting happens here.
    lab.wait_until(lambda: all(status.healthy for status in lab.status()), "all is healthy again", timeout_s=120)
    ledger = lab.ledger(wait_s=120)
    assert ledger.rows == before + len(sent)
    assert ledger.balanced, ledger
    for status in lab.stack.status():
        assert status.pid != killed[status.name]


@pytest.fixture
def home(docker_engine: None, tmp_path: Path) -> Iterator[Path]:
    """A home for one more lab; whatever a test leaves there is removed."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "home"
    yield folder
    labkit(folder, "down", LABKIT_STACK="compose")


def lab_at(home: Path, stack: str | None = None) -> Lab:
    """The lab of one home, on the stack it has or on another."""
    return Lab(load_settings().model_copy(update={"home": home, "stack": stack}))


@pytest.mark.on_demand
def test_from_embedded_to_compose_and_back_and_nothing_is_left(home: Path) -> None:
    lines: list[str] = []
    embedded = lab_at(home, "embedded").up(lines.append)
    embedded.insert(DIGIT, 1)
    embedded.close()

    compose = lab_at(home, "compose").up(lines.append)
    assert [line for line in lines if "embedded stack is stopped" in line]
    assert compose.tables.labels(TEST_TABLE) == {}
    compose.insert(DIGIT, 2)
    compose.insert(DIGIT, 3)
    compose.close()
    assert labkit(home, "status").returncode == 0

    again = lab_at(home, "embedded").up(lines.append)
    assert [line for line in lines if "compose stack is stopped" in line]
    assert list(again.tables.labels(TEST_TABLE).values()) == [1]
    assert isinstance(compose.stack, ComposeStack)
    project = f"label=com.docker.compose.project={compose.stack.project}"
    assert docker("ps", "-aq", "--filter", project) == []
    assert len(docker("volume", "ls", "-q", "--filter", project)) == 2
    again.close()

    # It remembers what it was; the other stack's data go with its own.
    assert labkit(home, "down").returncode == 0
    assert not home.exists()
    assert docker("volume", "ls", "-q", "--filter", project) == []
    assert docker("network", "ls", "-q", "--filter", project) == []


def taking_the_first(somebody: socket.socket) -> Callable[..., int]:
    """Chooses ports as labkit does, but once one is chosen for PostgreSQL somebody else listens there."""

    def choose(name: str, *arguments: Any) -> int:
        port = choose_port(name, *arguments)
        if name == "postgres_port" and somebody.getsockname()[1] == 0:
            somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            somebody.bind(("127.0.0.1", port))
            somebody.listen()
        return port

    return choose


@pytest.mark.on_demand
def test_an_interrupted_up_is_mended_by_the_next(home: Path) -> None:
    start = subprocess.Popen(
        [sys.executable, "-m", "labkit", "up", "--stack", "compose"],
        env=os.environ | {"LABKIT_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert start.stderr is not None
    for line in start.stderr:
        if "starting their containers" in line:
            break
    lab = lab_at(home)
    assert isinstance(lab.stack, ComposeStack)
    project = f"label=com.docker.compose.project={lab.stack.project}"
    while not docker("ps", "-aq", "--filter", project):
        time.sleep(0.05)
    start.kill()  # Without a last word: what it has called goes on for a moment.
    start.wait()
    start.stderr.close()

    lab.up()
    lab.down(report=lambda _: None)
    assert left_of(lab) == []


@pytest.mark.on_demand
def test_data_are_kept_over_down_until_their_folder_is_gone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = lab_at(home, "compose").up()
    assert isinstance(lab.stack, ComposeStack)
    lab.insert(DIGIT, 5)
    lab.down(keep_data=True, report=lambda _: None)
    project = f"label=com.docker.compose.project={lab.stack.project}"
    assert docker("ps", "-aq", "--filter", project) == []
    assert (
        docker("volume", "ls", "-q", "--filter", "dangling=true", "--filter", "label=com.docker.volume.anonymous") == []
    )

    # Between labkit's look and Docker's start somebody else takes the port.
    lines: list[str] = []
    with monkeypatch.context() as patch, socket.socket() as somebody:
        patch.setattr("labkit.stack.compose.choose_port", taking_the_first(somebody))
        lab.up(lines.append)
        assert lab.endpoints.postgres_port != somebody.getsockname()[1]
    assert any(line.startswith("postgres port") and "is taken; using" in line for line in lines)
    assert list(lab.tables.labels(TEST_TABLE).values()) == [5]
    lab.down(keep_data=True, report=lambda _: None)

    # A volume of another version, as after a change of the image.
    version = "echo 17 > /var/lib/postgresql/18/docker/PG_VERSION"
    volume = f"{lab.stack.project}_postgres:/var/lib/postgresql"
    postgres = next(line for line in docker("images", "--format", "{{.Repository}}:{{.Tag}}") if "postgres:" in line)
    docker("run", "--rm", "--user", "postgres", "--entrypoint", "bash", "-v", volume, postgres, "-c", version)
    result = labkit(home, "up")
    assert result.returncode == 1
    assert "of another version of PostgreSQL" in result.stderr
    assert "labkit down" in result.stderr
    assert "Traceback" not in result.stderr

    # The folder deleted by hand: the password of the rows went with it.
    shutil.rmtree(home)
    result = labkit(home, "up", "--stack", "compose")
    assert result.returncode == 1
    assert "Docker still holds data of a lab whose folder" in result.stderr
    assert labkit(home, "down", LABKIT_STACK="compose").returncode == 0
    assert left_of(lab) == []


def test_an_image_that_cannot_be_fetched_is_told(home: Path) -> None:
    image = next(line for line in docker("images", "--format", "{{.Repository}}:{{.Tag}}") if "apache/kafka:" in line)
    docker("tag", image, "kept/for-later")
    docker("rmi", image)
    try:
        result = labkit(home, "up", "--stack", "compose")
        assert result.returncode == 1
        assert f"images: fetching {image}" in result.stderr
        assert "✗ an image could not be fetched: " in result.stderr
        assert "Traceback" not in result.stderr
    finally:
        docker("tag", "kept/for-later", image)
        docker("rmi", "kept/for-later")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs without Docker."""
    folder = tmp_path / "programs"
    folder.mkdir()
    return folder


def refused(home: Path, **environment: str) -> str:
    """What `labkit up --stack compose` says where it cannot; the embedded stack stays what the lab has."""
    result = labkit(home, "up", "--stack", "compose", **environment)
    assert result.returncode == 1
    assert result.stdout == ""
    problem, fix = result.stderr.splitlines()
    assert problem.startswith("✗ ")
    assert "labkit up --stack embedded" in fix
    assert not (home / "choice.json").exists()
    return problem


def test_docker_missing(tmp_path: Path, programs: Path) -> None:
    assert refused(tmp_path / "home", PATH=str(programs)) == "✗ there is no Docker here"


def test_the_engine_is_down(docker_engine: None, tmp_path: Path) -> None:
    problem = refused(tmp_path / "home", DOCKER_HOST=f"unix://{tmp_path}/nobody.sock")
    assert "Docker does not answer" in problem
    assert "nobody.sock" in problem


def test_compose_missing_or_of_version_1(docker_engine: None, tmp_path: Path, programs: Path) -> None:
    program = shutil.which("docker")
    assert program is not None
    (programs / "docker").symlink_to(program)
    without = {"DOCKER_CONFIG": str(tmp_path), "PATH": str(programs)}
    assert refused(tmp_path / "home", **without) == "✗ Docker has no compose here"
    (programs / "docker-compose").touch(mode=0o755)
    assert refused(tmp_path / "home", **without) == "✗ there is only docker-compose, version 1"


def test_servers_that_somebody_else_runs(compose_lab: Lab, tmp_path: Path) -> None:
    servers = compose_lab.endpoints
    settings = load_settings().model_copy(
        update={
            "home": tmp_path / "home",
            "stack": "external",
            "postgres_port": servers.postgres_port,
            "kafka_port": servers.kafka_port,
            "connect_port": servers.connect_port,
            "source_host": servers.source_host,
            "source_port": servers.source_port,
        }
    )
    with pytest.raises(LabError, match="admin_password is not set"):
        Lab(settings).up()
    passwords = {"admin_password": servers.admin_password, "capture_password": servers.capture_password}
    lab = Lab(settings.model_copy(update=passwords)).up()
    try:
        lab.capture("csv")
        row = lab.insert(DIGIT, 4)
        assert compose_lab.tables.labels(TEST_TABLE)[row] == 4
        assert {status.name: status.healthy for status in lab.status()}["connect"]
        with pytest.raises(LabError, match="kafka is run by somebody else"):
            lab.stack.stop_service("kafka")
        lab.delete(row)
    finally:
        lab.down(report=lambda _: None)
    assert not lab.settings.home.exists()
    assert all(status.healthy for status in compose_lab.stack.status() if status.name != "scorer")


@pytest.mark.on_demand
@pytest.mark.timeout(900)
def test_jupyterlab_in_a_container_beside_the_servers(compose_lab: Lab) -> None:
    assert isinstance(compose_lab.stack, ComposeStack)
    dockerfile = CHECKOUT / "docker" / "jupyter.Dockerfile"
    if os.geteuid() == 0:  # Else the engine is somebody's own, and fetches the official image.
        build_python(re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE)[0])
    port = str(free_port(8888))
    files = ["-f", str(COMPOSE_FILE), "--env-file", str(environment_file(compose_lab.settings))]
    project = ["-p", compose_lab.stack.project, "--profile", "jupyter"]

    def compose(*arguments: str) -> str:
        command = ["docker", "compose", *files, *project, *arguments]
        environment = os.environ | {"LABKIT_PUBLISHED_JUPYTER_PORT": port, "DOCKER_BUILDKIT": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    try:
        compose("up", "--detach", "--wait", "jupyter")
        (token,) = set(re.findall(r"lab\?token=(\w+)", compose("logs", "jupyter")))
        with requests.Session() as session:
            session.trust_env = False
            kernels = f"http://127.0.0.1:{port}/api/kernelspecs"
            assert session.get(kernels, timeout=30).status_code == 403
            assert session.get(kernels, params={"token": token}, timeout=30).status_code == 200
        insert = (
            "lab = Lab().up(lambda _: None); print(lab.insert(np.zeros((28, 28), np.uint8), 4), lab.endpoints.kafka)"
        )
        imports = "import numpy as np; from labkit import Lab"
        row, kafka = compose("exec", "-T", "jupyter", "python", "-c", f"{imports}; {insert}").split()
        assert compose_lab.tables.labels(TEST_TABLE)[int(row)] == 4
        assert kafka == "kafka:19092"
        assert compose("exec", "-T", "jupyter", "sh", "-c", "id -u; echo ~").split() == ["1000", "/home/learner"]
        compose_lab.delete(int(row))
    finally:
        compose("rm", "--stop", "--force", "jupyter")
