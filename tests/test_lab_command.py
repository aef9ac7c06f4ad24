"""``labkit lab`` however it is ended: JupyterLab and the servers go with it, the data stay."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import psutil
import pytest
from tornado.websocket import websocket_connect

from labkit.lab import Lab
from labkit.settings import Settings


def start(home: Path, output: Path) -> subprocess.Popen[bytes]:
    """`labkit lab` as the foreground job of a terminal of its own, whose keys reach JupyterLab, too."""
    with output.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "labkit", "lab", "--no-browser"],
            stdout=file,
            stderr=file,
            env=os.environ | {"LABKIT_HOME": str(home)},
            start_new_session=True,
        )


def wait_for(text: str, output: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while text not in output.read_text():
        assert process.poll() is None and time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)


async def answers(address: str) -> None:
    """Wait until JupyterLab listens: it says how to end it a moment before."""
    while True:
        with suppress(URLError):
            urlopen(address).close()
            return
        await asyncio.sleep(0.2)


async def say_in_terminal(said: str, command: str, answer: str) -> None:
    """Open a terminal in the JupyterLab whose address was said, type a command, and wait for its answer."""
    found = re.search(r"http://(127\.0\.0\.1:\d+)/lab/tree/01_first_digit.ipynb\?token=(\w+)", said)
    assert found, "the address leads to the notebook"
    place, token = found.groups()
    await answers(f"http://{place}/api/status?token={token}")
    with urlopen(Request(f"http://{place}/api/terminals?token={token}", method="POST")) as response:
        name = json.load(response)["name"]
    terminal = await websocket_connect(f"ws://{place}/terminals/websocket/{name}?token={token}")
    await terminal.write_message(json.dumps(["stdin", f"{command}\r"]))
    seen = ""
    while answer not in seen:
        message = await terminal.read_message()
        assert message is not None, seen
        kind, *text = json.loads(message)
        seen += "".join(map(str, text)) if kind == "stdout" else ""
    terminal.close()


def processes_of(home: Path, session: int) -> list[str]:
    """Command lines of what still runs in the lab's folder or in the terminal."""
    found: list[str] = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        try:
            in_terminal = os.getsid(process.info["pid"]) == session
        except ProcessLookupError:
            continue
        if str(home) in command or (in_terminal and command):
            found.append(command)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("session") / "lab"
    yield home
    Lab(Settings(home=home)).down()


@pytest.mark.parametrize(
    ("when", "signals"),
    [
        pytest.param("servers: waiting", [signal.SIGINT], id="Ctrl-C while the servers start"),
        pytest.param("Use Control-C", [signal.SIGINT, signal.SIGINT], id="Ctrl-C twice in JupyterLab"),
        pytest.param("Use Control-C", [signal.SIGHUP], id="the terminal is closed", marks=pytest.mark.on_demand),
        pytest.param("Use Control-C", [signal.SIGTERM], id="terminated", marks=pytest.mark.on_demand),
    ],
)
def test_nothing_is_left_running(home: Path, tmp_path: Path, when: str, signals: list[signal.Signals]) -> None:
    output = tmp_path / "output"
    process = start(home, output)
    wait_for(when, output, process)
    if signals == [signal.SIGINT, signal.SIGINT]:
        own = str(Path(sys.executable).parent / "labkit")
        asyncio.run(asyncio.wait_for(say_in_terminal(output.read_text(), "command -v labkit", own), 60))
    for number in signals:
        if process.poll() is None:
            os.killpg(process.pid, number)
            time.sleep(1)
    try:
        process.wait(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert processes_of(home, process.pid) == []


def test_it_ends_without_a_word_where_the_lab_was_deleted_meanwhile(home: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    process = start(home, output)
    wait_for("Use Control-C", output, process)
    try:
        Lab(Settings(home=home)).down(report=lambda _: None)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in output.read_text()
    assert processes_of(home, process.pid) == []


def start_while_it_stops(home: Path, *, keep_data: bool) -> Lab:
    """Stop the lab and, before that is done, start it again."""
    stopping = threading.Event()
    options = {"keep_data": keep_data, "report": lambda _: stopping.set()}
    stop = threading.Thread(target=Lab(Settings(home=home)).down, kwargs=options)
    stop.start()
    assert stopping.wait(30)
    said: list[str] = []
    lab = Lab(Settings(home=home)).up(said.append)
    stop.join()
    assert any("waiting for it" in line for line in said), said
    assert {service.name for service in lab.status() if service.healthy} == {"postgres", "kafka", "connect"}
    return lab


def test_the_data_stay_until_they_are_removed_and_a_start_waits_for_the_stop(home: Path) -> None:
    row_id = Lab(Settings(home=home)).up().insert(np.full((28, 28), 9, np.uint8), 3)
    assert start_while_it_stops(home, keep_data=True).tables.labels("mnist_test") == {row_id: 3}
    lab = start_while_it_stops(home, keep_data=False)
    assert lab.tables.labels("mnist_test") == {}

    supervisor = psutil.Process(int((home / "supervisord.pid").read_text()))
    for socket in supervisor.net_connections("unix"):
        bound = Path(str(socket.laddr))  # Under a passing name, .sock.PID.
        bound.with_suffix("").unlink()  # As a cleaner of old temporary files does.
    assert lab.status() == []
    lab.down()
    assert not home.exists()
    assert processes_of(home, -1) == []
