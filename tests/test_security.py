"""What other users of the machine can reach, and where passwords can be read."""

import json
import os
import pwd
import re
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import requests

from labkit import Lab, LabError
from labkit.capture.connect import ConnectClient
from labkit.database import DigitTables
from labkit.settings import CHECKOUT

ASK = """
import json, sys, urllib.error, urllib.request
try:
    print(200, urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""
ASK_AND_LEAVE = """
import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as one:
    one.sendall(b"DELETE /connectors/lab-connector HTTP/1.1\\r\\nHost: lab\\r\\n\\r\\n")
"""
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@pytest.fixture(scope="module")
def other_user() -> int:
    """Another account of this machine, as which only root can run something."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    return pwd.getpwnam("nobody").pw_uid


def run_as(user: int, code: str, *arguments: str) -> str:
    """Run Python code as another user, and return what it prints."""
    # Not the environment's own: that may lie in a folder of root's.
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    command = [python, "-c", code, *arguments]
    return subprocess.run(command, user=user, cwd="/", check=True, capture_output=True, text=True).stdout


def secrets(lab: Lab) -> list[str]:
    """Every password of a lab."""
    kept = [path.read_text() for path in lab.settings.home.glob("*.password")]
    return [*kept, lab.endpoints.admin_password, lab.endpoints.capture_password]


def test_another_user_may_ask_connect_nothing(scoring_lab: Lab, other_user: int) -> None:
    address = f"{scoring_lab.endpoints.connect}/connectors/lab-connector/config"
    assert requests.get(address, timeout=30).json()["database.password"]
    status, _, answer = run_as(other_user, ASK, address).partition(" ")
    assert status == "403" and "only programs of the user" in json.loads(answer)["message"]
    # Of a socket that its program has closed Linux says that it is root's.
    for _ in range(20):
        run_as(other_user, ASK_AND_LEAVE, str(scoring_lab.endpoints.connect_port))
    assert "lab-connector" in scoring_lab.connect.names()


def test_another_user_reaches_neither_the_folder_nor_the_supervisor(scoring_lab: Lab, other_user: int) -> None:
    home = scoring_lab.settings.home
    assert home.stat().st_mode & OTHERS == 0
    for path in [*home.glob("*.password"), home / "endpoints.json"]:
        assert path.stat().st_mode & OTHERS == 0, path
    socket = re.search(r"^file = (.*)$", (home / "supervisord.conf").read_text(), re.MULTILINE)
    assert socket is not None
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run_as(other_user, connect, socket[1])
    assert "PermissionError" in refused.value.stderr


def test_no_password_is_in_a_log_or_a_command_line(scoring_lab: Lab) -> None:
    lab = scoring_lab
    found = secrets(lab)
    assert len(found) >= 4 and all(len(secret) >= 16 for secret in found)
    told = [path.read_text(errors="replace") for path in (lab.settings.home / "logs").iterdir()]
    told += [" ".join(process) for process in _command_lines()]
    told += [repr(lab), repr(lab.endpoints), str(lab.status()), repr(lab.settings)]
    assert len(told) > 5
    for secret in found:
        assert not any(secret in text for text in told)


def _command_lines() -> list[list[str]]:
    lines: list[list[str]] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                lines.append((folder / "cmdline").read_bytes().decode(errors="replace").split("\0"))
            except OSError:
                continue  # It has ended.
    return lines


def test_no_password_is_in_an_error(scoring_lab: Lab) -> None:
    lab = scoring_lab
    wrong = lab.endpoints.model_copy(update={"postgres_port": 1, "connect_port": 1})
    with pytest.raises(LabError) as away:
        DigitTables(wrong, patience_s=0.0).count("mnist_test")
    with pytest.raises(LabError) as silent:
        ConnectClient(wrong.connect, patience_s=0.0).names()
    with pytest.raises(psycopg.Error) as refused:
        psycopg.connect(lab.endpoints.model_copy(update={"admin_user": "nobody"}).postgres)
    with pytest.raises(LabError) as unknown:
        lab.connect.restart("no-such-connector")
    texts = [str(error.value) for error in (away, silent, refused, unknown)]
    assert not any(secret in text for secret in secrets(lab) for text in texts)


def test_no_notebook_shows_a_password() -> None:
    outputs = re.compile(r"password=(?!\{)\S|\"database\.password\": \"(?!\$\{|\*+|…|\.\.\.)[^\"]")
    for path in (CHECKOUT / "notebooks").rglob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        shown = json.dumps([cell.get("outputs") for cell in cells], ensure_ascii=False)
        assert not outputs.search(shown.replace('\\"', '"')), path
