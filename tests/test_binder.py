"""Binder and conda: the files as their readers take them, Binder's build step by step, and a session in 2 GB."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from repo2docker.utils import is_local_pip_requirement
from ruamel.yaml import YAML

from labkit.settings import CHECKOUT
from tests.binder.browser import run_notebook
from tests.binder.build import USER, build, build_base, build_pack, copy_clone
from tests.binder.session import Session, session
from tests.docker.engine import run
from tools.notebook_browser import chromium, region

BINDER = CHECKOUT / "binder"
IMAGE = "labkit-binder/lab"
LOG = CHECKOUT / "build" / "binder-build.log"
DASHBOARD, LESSON = "notebooks/00_dashboard.ipynb", "notebooks/06_live_dashboard.ipynb"
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
LISTEN = "0A"
JUPYTER_PORT = 8888
IMAGE_MB = 1700
"""What the build may add to the image it is built on."""
HELD_MIB = 1700
"""What processes may hold in a session of two notebooks; the rest of 2 GB is for their programs' files."""


def read_yaml(path: Path) -> dict[str, list[str | dict[str, list[str]]]]:
    """An environment file, read by what repo2docker reads it with."""
    return YAML(typ="safe").load(path)


def test_conda_and_binder_take_the_same_python_and_the_packages_of_the_one_lock() -> None:
    conda, binder = read_yaml(CHECKOUT / "environment.yml"), read_yaml(BINDER / "environment.yml")
    *programs, from_pip = conda["dependencies"]
    assert from_pip == {"pip": ["--require-hashes", "-r requirements.txt"]}
    assert binder["dependencies"] == programs == ["python=3.11", "pip"]
    assert conda["channels"] == binder["channels"] == ["conda-forge"]
    # conda and mamba call pip in the file's folder, where the lock must be found.
    assert [line for line in from_pip["pip"] if is_local_pip_requirement(line)] == ["-r requirements.txt"]
    assert (CHECKOUT / "requirements.txt").is_file()
    assert "--require-hashes -r requirements.txt" in (BINDER / "postBuild").read_text()


def test_repo2docker_takes_the_folder_and_keeps_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_clone(tmp_path)
    monkeypatch.chdir(tmp_path)
    pack = build_pack(tmp_path, "base")
    assert (pack.environment_yaml_path, pack.python_version) == ("binder/environment.yml", "3.11")
    lines = pack.render(dict(USER)).splitlines()
    steps = [
        "env update",
        "src/ ${REPO_DIR}/",
        "USER ${NB_USER}",
        "RUN ./binder/postBuild",
        "R2D_ENTRYPOINT",
        "ENTRYPOINT",
    ]
    found = [max(number for number, line in enumerate(lines) if step in line) for step in steps]
    assert found == sorted(found)


@pytest.fixture(scope="module")
def image(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image that Binder's build makes of this clone."""
    clone = tmp_path_factory.mktemp("clone")
    copy_clone(clone)
    base = build_base()
    started = time.monotonic()
    LOG.parent.mkdir(exist_ok=True)
    build(clone, base, IMAGE, LOG)
    print(f"Binder's build: {time.monotonic() - started:.0f} s, {size_mb(IMAGE) - size_mb(base):.0f} MB")
    assert size_mb(IMAGE) - size_mb(base) < IMAGE_MB
    return IMAGE


@pytest.fixture(scope="module")
def here(image: str) -> Iterator[Session]:
    """A session in 2 GB without swap."""
    with session(image, ("--memory=2g", "--memory-swap=2g")) as started:
        yield started


def size_mb(image: str) -> float:
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image).stdout) / 1e6


@pytest.mark.on_demand
@pytest.mark.timeout(1200)  # It builds the image.
def test_a_session_has_its_servers_up_when_jupyter_opens(here: Session) -> None:
    assert here.run("labkit", "up").endswith(":8083")  # It waits for a start that is under way, and starts nothing.
    assert here.run("id", "-un") == USER["NB_USER"] and here.run("pwd") == "/home/jovyan"
    said = here.docker("logs", here.name)
    assert said.index("servers: waiting for") < said.index("Jupyter Server")
    notebooks = {entry["name"] for entry in here.get("api/contents/notebooks")["content"]}
    assert {"00_dashboard.ipynb", "01_first_digit.ipynb"} < notebooks and not any("NOT" in name for name in notebooks)


@pytest.mark.on_demand
def test_the_dashboard_comes_first_then_a_lesson_within_the_memory(here: Session) -> None:
    with chromium(here.notebook_url(DASHBOARD)) as page:
        expect(region(page, "draw a digit")).to_be_visible(timeout=180_000)
        pad = page.get_by_role("application", name="drawing pad")
        box = pad.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
        page.mouse.up()
        region(page, "draw a digit").get_by_role("button", name="Send").click()
        expect(region(page, "newest prediction")).to_contain_text(re.compile(r"row \d+"), timeout=60_000)
        run_notebook(page, LESSON)
        assert here.errors(LESSON) == []
        memory = here.memory()
    assert memory.kills == 0
    assert memory.anonymous < HELD_MIB, memory


@pytest.mark.on_demand
def test_only_jupyter_listens_beyond_loopback(here: Session) -> None:
    tables = here.run("cat", "/proc/net/tcp", "/proc/net/tcp6")
    rows = [line.split() for line in tables.splitlines() if ":" in line.split()[0]]
    listening = {tuple(row[1].split(":")) for row in rows if row[3] == LISTEN}
    assert len(listening) > 5, "PostgreSQL, Kafka and Connect are among them"
    assert {int(port, 16) for address, port in listening if address not in LOOPBACK} == {JUPYTER_PORT}


@pytest.mark.on_demand
def test_an_image_holds_no_secret_and_belongs_to_its_user(image: str) -> None:
    command = ["docker", "run", "--rm", "--entrypoint", "bash", image, "-c"]
    looks = {
        "somebody else's": "find /home/jovyan ! -user jovyan",
        "a password": "find /home/jovyan /tmp /srv -name '*.password' -o -name endpoints.json -o -name '*.sock'",
        "rows, topics or logs": "ls -d /home/jovyan/.labkit/{kafka,postgres,supervisord.conf} 2>/dev/null || true",
        "a cache": "ls -d /home/jovyan/.cache/{pip,uv} /root/.cache/pip 2>/dev/null || true",
    }
    for what, look in looks.items():
        assert run(*command, look).stdout == "", what


@pytest.mark.on_demand
def test_what_conda_would_call_finds_every_package_there(here: Session) -> None:
    # Source: conda/env/installers/pip.py. The lines below pip: stand in a file beside environment.yml.
    write = r"printf -- '--require-hashes\n-r requirements.txt' > condaenv.requirements.txt"
    pip = "python -m pip install -U -r condaenv.requirements.txt --exists-action=b"
    said = here.run(f"{write} && {pip} && python -m pip check")
    assert "Successfully installed" not in said and "Collecting" not in said


@pytest.mark.on_demand
def test_jupyter_opens_and_tells_when_the_servers_do_not_start(image: str) -> None:
    with session(image, ("--memory=2g", "--env=LABKIT_KAFKA_HEAP_MIB=1")) as broken:
        note = broken.get("api/contents/notebooks/THE LAB DID NOT START.txt")["content"]
        assert "setting kafka_heap_mib" in note and "labkit up" in note
        broken.docker("exec", "--env", "LABKIT_KAFKA_HEAP_MIB=128", broken.name, "bash", "-l", "-c", "labkit up")
