"""Every lesson on the real servers: alone, twice in a row, solved and unsolved, and nothing left behind."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import psycopg
import pytest
from kafka import KafkaAdminClient
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from labkit import Lab
from labkit.capture.configs import load_config
from labkit.lab import ROUTES
from labkit.settings import CHECKOUT, load_settings
from labkit.stream.topics import CLIENT
from tools.make_exercises import NOTEBOOKS, SOLUTIONS, exercise_text

FOLDERS = (SOLUTIONS, NOTEBOOKS)
LESSONS = sorted(path.name for path in SOLUTIONS.glob("*.ipynb"))
PARAMETERS = {"01_first_digit.ipynb": {"samples": 7}}
INTERNAL_TOPICS = ("__", "connect-")
CELL_TIMEOUT_S = 300
COURSE_TIMEOUT_S = 900


@dataclass(frozen=True)
class LessonRun:
    """A lesson run in an empty lab of its own, solved and then unsolved.

    Attributes:
        solved: The solution, with its outputs.
        unsolved: The exercises, with theirs.
        left: What each run left on the servers and on the machine.
    """

    solved: NotebookNode
    unsolved: NotebookNode
    left: Sequence[set[str]]


@pytest.fixture(scope="module")
def lesson_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[LessonRun]]]:
    """Every lesson's run to come, by its name. Two lessons at a time: much of a lesson is waiting for servers."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = {lesson: pool.submit(run_lesson, lesson, tmp_path_factory.mktemp("lesson")) for lesson in LESSONS}
        yield runs
        for ahead in runs.values():
            ahead.cancel()  # Where tests were left out or broken off.


def run_lesson(lesson: str, folder: Path) -> LessonRun:
    """Run a lesson as a newcomer does, in a lab that is not even started; the notebook's kernel finds it."""
    lab = Lab(load_settings().model_copy(update={"home": folder / "lab"}))
    left: list[set[str]] = []
    try:
        solved = run(SOLUTIONS / lesson, folder / "solved.ipynb", lab)
        left.append(leftovers(lab))
        unsolved = run(NOTEBOOKS / lesson, folder / "unsolved.ipynb", lab)
        left.append(leftovers(lab))
    finally:
        lab.down(report=lambda _: None)
    return LessonRun(solved, unsolved, left)


def run(notebook: Path, output: Path, lab: Lab) -> NotebookNode:
    """Run a notebook in a fresh kernel by papermill; return it with its outputs."""
    options = ["--no-progress-bar", f"--execution-timeout={CELL_TIMEOUT_S}", f"--cwd={notebook.parent}"]
    for name, value in PARAMETERS.get(notebook.name, {}).items():
        options += ["-p", name, str(value)]
    papermill = subprocess.run(
        [sys.executable, "-m", "papermill", *options, notebook, output],
        capture_output=True,
        text=True,
        env=os.environ | {"LABKIT_HOME": str(lab.settings.home)},
    )
    assert papermill.returncode == 0, papermill.stderr[-4000:]
    return nbformat.read(output, as_version=4)


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """All outputs of a notebook's code cells."""
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def verdicts(notebook: NotebookNode) -> list[str]:
    """What the checks said, as text."""
    texts = (str(out.get("data", {}).get("text/plain", "")) for out in outputs(notebook))
    return [text for text in texts if text[:2] in ("✓ ", "✗ ", "○ ", "! ")]


def leftovers(lab: Lab) -> set[str]:
    """What is on the servers and on the machine beyond the lab's own: connectors, slots, tables, topics, processes."""
    own = [load_config(route, lab.endpoints, lab.settings) for route in ROUTES]
    found = {f"connector {name}" for name in set(lab.connect.names()) - {connector.name for connector in own}}
    found |= {f"slot {name}" for name in set(lab.tables.slots()) - {connector.slot for connector in own}}
    with psycopg.connect(lab.endpoints.postgres) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        publications = connection.execute("SELECT pubname FROM pg_publication").fetchall()
    found |= {f"table {name}" for (name,) in tables if not name.startswith("mnist_")}
    found |= {f"publication {name}" for (name,) in publications if name != "dbz_publication"}
    admin = KafkaAdminClient(bootstrap_servers=lab.kafka, **CLIENT)
    known_topics = {f"{prefix}.public.mnist_{part}" for prefix in ("tf", "lab") for part in ("train", "test")}
    for topic in admin.list_topics():
        if topic not in known_topics | {"predictions"} and not topic.startswith(INTERNAL_TOPICS):
            found.add(f"topic {topic}")
    admin.close()
    return found | {f"process {process.info['cmdline']}" for process in _strangers(lab)}


def _strangers(lab: Lab) -> Iterator[psutil.Process]:
    """Processes that belong to this lab by their environment, and that its supervisor does not keep."""
    kept = {status.pid for status in lab.stack.status()}
    for process in psutil.process_iter(["cmdline"]):
        try:
            if process.environ().get("LABKIT_HOME") != str(lab.settings.home):
                continue
            family = [process, *process.parents()]
            if not any(member.pid in kept or "supervisord" in " ".join(member.cmdline()) for member in family):
                yield process
        except psutil.Error:
            continue  # Gone in the meantime, or somebody else's.


@pytest.mark.timeout(COURSE_TIMEOUT_S)
@pytest.mark.parametrize("lesson", LESSONS)
def test_alone_solved_then_unsolved_and_nothing_left(lesson: str, lesson_runs: Mapping[str, Future[LessonRun]]) -> None:
    lesson_run = lesson_runs[lesson].result()
    solved = lesson_run.solved
    assert [verdict for verdict in verdicts(solved) if not verdict.startswith("✓")] == []
    assert len(verdicts(solved)) == sum(cell.source.count("# solution") for cell in solved.cells)
    quiet = [out.text for out in outputs(solved) if out.output_type == "stream" and out.name == "stderr"]
    assert [text for text in quiet if text.strip()] == [], "a lesson's cells are quiet"
    assert {verdict[0] for verdict in verdicts(lesson_run.unsolved)} == {"○"}
    assert lesson_run.left == [set(), set()]

    if any("lab.dashboard()" in cell.source for cell in solved.cells):
        pictures = [out for out in outputs(solved) if "labkit-still" in str(out.get("data", {}).get("text/html", ""))]
        assert pictures, "the dashboard leaves a picture"


@pytest.mark.timeout(COURSE_TIMEOUT_S + 120)
def test_the_course_one_after_the_other_by_nbval(tmp_path: Path) -> None:
    """Solutions and exercises, each in a lab of its own, side by side: most of a lesson is waiting for servers."""
    options = ["--nbval-lax", f"--nbval-cell-timeout={CELL_TIMEOUT_S}", "-p", "no:cacheprovider", "-q"]
    labs = {folder: Lab(load_settings().model_copy(update={"home": tmp_path / folder.name})) for folder in FOLDERS}
    runs: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        for folder, lab in labs.items():
            runs[folder] = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *(folder / lesson for lesson in LESSONS)],
                stdout=(tmp_path / f"{folder.name}.log").open("w"),
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=os.environ | {"LABKIT_HOME": str(lab.settings.home)},
            )
        for folder, run_of_folder in runs.items():
            assert run_of_folder.wait(COURSE_TIMEOUT_S) == 0, (tmp_path / f"{folder.name}.log").read_text()[-4000:]
            assert leftovers(labs[folder]) == set()
    finally:
        for run_of_folder in runs.values():
            run_of_folder.kill()
        for lab in labs.values():
            lab.down(report=lambda _: None)


@pytest.mark.parametrize("lesson", LESSONS)
def test_html_without_a_kernel_shows_pictures_and_no_blanks(lesson: str) -> None:
    html, _ = HTMLExporter().from_filename(str(SOLUTIONS / lesson))
    document = nbformat.read(SOLUTIONS / lesson, as_version=4)
    plots = sum("image/png" in out.get("data", {}) for out in outputs(document))
    assert html.count('<img alt="No description has been provided for this image"') == plots > 0
    dashboards = sum("dashboard = lab.dashboard()" in cell.source for cell in document.cells)
    assert html.count('class="labkit-still"') == dashboards
    assert "application/vnd.jupyter.widget-view+json" not in html, "a widget without a kernel is a blank"


@pytest.mark.parametrize("lesson", LESSONS)
def test_exercises_are_made_from_their_solutions(lesson: str) -> None:
    assert (NOTEBOOKS / lesson).read_text() == exercise_text(SOLUTIONS / lesson), "run: make exercises"


def test_there_is_no_exercise_without_a_solution() -> None:
    assert sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")) == LESSONS
    numbers = [int(lesson[:2]) for lesson in LESSONS]
    assert numbers == list(itertools.islice(itertools.count(1), len(LESSONS)))


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_opens_closes_and_has_its_exercises(lesson: str) -> None:
    document = nbformat.read(SOLUTIONS / lesson, as_version=4)
    assert "What you will learn" in document.cells[0].source
    assert "What you learned" in document.cells[-1].source
    exercises = sum(cell.source.count("# solution") for cell in document.cells if cell.cell_type == "code")
    assert 2 <= exercises <= 4
    hints = sum(cell.source.count("<summary>Hint") for cell in document.cells if cell.cell_type == "markdown")
    assert hints >= exercises, "every exercise has a hint"


@pytest.mark.parametrize("lesson", LESSONS)
def test_stored_outputs_are_real_and_clean(lesson: str) -> None:
    document = nbformat.read(SOLUTIONS / lesson, as_version=4)
    code = [cell for cell in document.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "a cell was never run"
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    assert all(verdict.startswith("✓") for verdict in verdicts(document))
    assert document.metadata.kernelspec.name == "python3"
    assert str(CHECKOUT) not in nbformat.writes(document), "a path of the machine it was run on"
