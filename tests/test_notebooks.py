"""Every lesson on the real servers, in a lab of its own: solved and unsolved, each twice, and nothing left behind."""

import itertools
import os
import subprocess
import sys
import time
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
from labkit.course.exercises import CHECK_OUTPUT
from labkit.lab import ROUTES
from labkit.settings import CHECKOUT, TEST_TABLE, TRAIN_TABLE, load_settings
from labkit.stream.topics import CLIENT
from tools.make_exercises import NOTEBOOKS, SOLUTIONS, exercise_text

LESSONS = sorted(path.name for path in SOLUTIONS.glob("*.ipynb"))
COURSE = [folder / lesson for lesson in LESSONS for folder in (SOLUTIONS, NOTEBOOKS)]
"""Every notebook."""
SIDE_BY_SIDE = 3
"""Lessons at a time, each in a lab of its own: most of a lesson is waiting for servers, also on two cores."""
PARAMETERS = {
    "01_first_digit.ipynb": {"samples": 7},
    "02_why_change_data_capture.ipynb": {"kills": 4, "seconds": 1.0},
    "05_tensorflow_from_a_stream.ipynb": {"epochs": 2, "timed": 500},
    "06_live_dashboard.ipynb": {"digits": 400},
    "07_when_things_break.ipynb": {"digits": 120},
    "08_connect_or_server.ipynb": {"single": 20, "many": 5000},
    "09_spark_through_kafka.ipynb": {"singles": 40, "many": 300},
    "10_flink.ipynb": {"singles": 40},
    "11_learning_online.ipynb": {"seeds": 20, "compared": 3, "digits": 30},
}
"""For papermill. nbval takes what stands in the notebook."""
ENGINE_LESSONS = ("09_", "10_", "11_")
INTERNAL_TOPICS = ("__", "connect-")
POLL_INTERVAL_MS = "50"
"""Of Debezium, in place of 5: three labs that wait would take a whole core of the two for their polls."""
CELL_TIMEOUT_S = 300
COURSE_S = 900
"""The whole course in fifteen minutes on two cores. Here it is run four times: solved and unsolved, each twice."""


@dataclass(frozen=True)
class TwoRuns:
    """A notebook run by papermill, and in the same lab again by nbval.

    Attributes:
        document: The notebook with the outputs of the first run.
        left: What each run left on the servers and on the machine.
    """

    document: NotebookNode
    left: Sequence[set[str]]


LessonRuns = Mapping[Path, TwoRuns | AssertionError]
"""What became of a lesson's notebooks."""


@pytest.fixture(scope="module")
def course_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[LessonRuns]]]:
    """The runs of every lesson, to come. All of them together have one deadline."""
    deadline = time.monotonic() + 4 * COURSE_S
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
        # The last lessons are the longest: begun first, none of them runs on alone at the end.
        runs = {
            lesson: pool.submit(run_lesson, lesson, tmp_path_factory.mktemp("lesson"), deadline)
            for lesson in reversed(LESSONS)
        }
        yield runs
        for ahead in runs.values():
            ahead.cancel()  # Where tests were left out or broken off.


def run_lesson(lesson: str, folder: Path, deadline: float) -> LessonRuns:
    """Run a lesson as a newcomer does, in a lab that is not even started; then once more; then so its exercises.

    A notebook that fails does not keep the other from its turn.
    """
    lab = Lab(load_settings().model_copy(update={"home": folder / "lab"}))
    runs: dict[Path, TwoRuns | AssertionError] = {}
    try:
        for notebook in (SOLUTIONS / lesson, NOTEBOOKS / lesson):
            try:
                runs[notebook] = run_twice(notebook, folder / "output.ipynb", lab, deadline)
            except AssertionError as error:
                runs[notebook] = error
    finally:
        lab.down(report=lambda _: None)
    return runs


def run_twice(notebook: Path, output: Path, lab: Lab, deadline: float) -> TwoRuns:
    """Run a notebook by papermill, and then by nbval.

    The lessons that start an engine take long. They are left at papermill, the solution and then the exercises.
    """
    document = run_by_papermill(notebook, output, lab, deadline)
    left = [leftovers(lab)]
    if not notebook.name.startswith(ENGINE_LESSONS):
        run_by_nbval(notebook, lab, deadline)
        left.append(leftovers(lab))
    return TwoRuns(document, left)


def run_by_papermill(notebook: Path, output: Path, lab: Lab, deadline: float) -> NotebookNode:
    """Run a notebook in a fresh kernel by papermill; return it with its outputs."""
    options = ["--no-progress-bar", f"--execution-timeout={CELL_TIMEOUT_S}", f"--cwd={notebook.parent}"]
    for name, value in PARAMETERS.get(notebook.name, {}).items():
        options += ["-p", name, str(value)]
    output.unlink(missing_ok=True)
    try:
        run_module(["papermill", *options, str(notebook), str(output)], notebook, lab, deadline)
    except AssertionError as error:
        if output.is_file():
            error.add_note("It had printed:\n" + "".join(printed(nbformat.read(output, as_version=4)))[-3000:])
        raise
    return nbformat.read(output, as_version=4)


def run_by_nbval(notebook: Path, lab: Lab, deadline: float) -> None:
    """Run a notebook by nbval: no cell fails, and those tagged for it have the outputs that are stored."""
    options = ["--nbval-lax", f"--nbval-cell-timeout={CELL_TIMEOUT_S}", "-p", "no:cacheprovider", "-q"]
    run_module(["pytest", *options, str(notebook)], notebook, lab, deadline)


def run_module(command: Sequence[str], notebook: Path, lab: Lab, deadline: float) -> None:
    """Run a module of Python in a notebook's folder, on a lab, to its good end and before a deadline."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=notebook.parent,
            env=os.environ | {"LABKIT_HOME": str(lab.settings.home), "LABKIT_POLL_INTERVAL_MS": POLL_INTERVAL_MS},
            timeout=max(0.0, deadline - time.monotonic()),
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(
            f"the whole course, four times, takes longer than {4 * COURSE_S} s: {notebook.name} has not ended"
        ) from error
    assert done.returncode == 0, done.stdout[-4000:]


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """All outputs of a notebook's code cells."""
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def printed(notebook: NotebookNode) -> list[str]:
    """What the cells printed."""
    return [out.text for out in outputs(notebook) if out.output_type == "stream"]


def verdicts(notebook: NotebookNode) -> list[str]:
    """What the checks said, as text."""
    texts = (str(out.get("data", {}).get("text/plain", "")) for out in outputs(notebook))
    return [text for text in texts if text[:2] in ("✓ ", "✗ ", "○ ", "! ")]


def leftovers(lab: Lab) -> set[str]:
    """What is on the servers and on the machine beyond the lab's own: connectors, slots, tables, topics, processes."""
    lab.close()  # A lesson may have started the servers anew, at other ports.
    own = [load_config(route, lab.endpoints, lab.settings) for route in ROUTES]
    found = {f"connector {name}" for name in set(lab.connect.names()) - {connector.name for connector in own}}
    found |= {f"slot {name}" for name in set(lab.tables.slots()) - {connector.slot for connector in own}}
    with psycopg.connect(lab.endpoints.postgres) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        publications = connection.execute("SELECT pubname FROM pg_publication").fetchall()
    found |= {f"table {name}" for (name,) in tables if name not in (TRAIN_TABLE, TEST_TABLE)}
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


@pytest.mark.timeout(4 * COURSE_S + 120)
@pytest.mark.parametrize("notebook", COURSE, ids=lambda notebook: str(notebook.relative_to(NOTEBOOKS)))
def test_twice_in_a_row_and_nothing_left(notebook: Path, course_runs: Mapping[str, Future[LessonRuns]]) -> None:
    runs = course_runs[notebook.name].result()[notebook]
    if isinstance(runs, AssertionError):
        raise runs
    solution = nbformat.read(SOLUTIONS / notebook.name, as_version=4)
    exercises = sum(cell.source.count("# solution") for cell in solution.cells)
    sign = "✓" if notebook.parent == SOLUTIONS else "○"
    assert [verdict[0] for verdict in verdicts(runs.document)] == [sign] * exercises, verdicts(runs.document)
    quiet = [out.text for out in outputs(runs.document) if out.output_type == "stream" and out.name == "stderr"]
    assert [text for text in quiet if text.strip()] == [], "a lesson's cells are quiet"
    assert not any(runs.left), runs.left

    if any("lab.dashboard()" in cell.source for cell in solution.cells):
        stills = ["labkit-still" in str(out.get("data", {}).get("text/html", "")) for out in outputs(runs.document)]
        assert any(stills), "the dashboard leaves a picture"


def test_a_course_that_is_too_slow_fails(tmp_path: Path) -> None:
    lab = Lab(load_settings().model_copy(update={"home": tmp_path}))
    with pytest.raises(AssertionError, match="the whole course, four times, takes longer than 3600 s: 01_first"):
        run_module(["papermill", "--version"], COURSE[0], lab, deadline=time.monotonic())


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


@pytest.mark.parametrize("lesson", LESSONS)
def test_what_is_always_so_is_compared(lesson: str) -> None:
    document = nbformat.read(SOLUTIONS / lesson, as_version=4)
    compared = [cell for cell in document.cells if CHECK_OUTPUT in cell.metadata.get("tags", [])]
    assert compared, "nbval compares no output of this lesson"
    assert all(cell.outputs for cell in compared), "a cell without an output has nothing to compare"
    empty = [cell for cell in document.cells if cell.cell_type == "code" and "bench.things()" in cell.source]
    assert all(cell in compared for cell in empty), "that nothing is left is always so"
