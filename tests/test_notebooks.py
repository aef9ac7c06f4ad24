"""Every lesson on the real servers, in a lab of its own: solved and unsolved, and nothing left behind."""

import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from labkit import Lab
from labkit.course.exercises import CHECK_OUTPUT
from labkit.settings import CHECKOUT, load_settings
from tools.course import (
    IN_ONE_RUN,
    LESSONS,
    SIDE_BY_SIDE,
    Course,
    LessonError,
    lab_for_runs,
    leftovers,
    outputs,
    run_by_nbval,
    run_by_papermill,
    run_module,
    walked,
)
from tools.make_exercises import NOTEBOOKS, SOLUTIONS, exercise_text

EACH = [folder / lesson for lesson in LESSONS for folder in (SOLUTIONS, NOTEBOOKS)]
"""Every notebook."""
COURSE_S = 900
"""The whole course in fifteen minutes on two cores."""
PATIENCE_S = 3600


def name(notebook: Path) -> str:
    """Its path within the course."""
    return str(notebook.relative_to(NOTEBOOKS))


def verdicts(notebook: NotebookNode) -> str:
    """What the checks said: the first sign of each."""
    texts = (str(out.get("data", {}).get("text/plain", "")) for out in outputs(notebook))
    return "".join(text[0] for text in texts if text[:2] in ("✓ ", "✗ ", "○ ", "! "))


def cells_with_exercises(lesson: str) -> list[tuple[str, int]]:
    """Their text, and how many exercises each has."""
    cells = nbformat.read(SOLUTIONS / lesson, as_version=4).cells
    return [(cell.source, count) for cell in cells if (count := cell.source.count("# solution"))]


def exercises(lesson: str) -> int:
    """How many a lesson has."""
    return sum(count for _, count in cells_with_exercises(lesson))


def when_walked(lesson: str) -> str:
    """What the checks say to somebody who leaves each exercise open, and then solves it.

    A guess is asked for in a cell of its own; its check, further down, sees it solved.
    """
    cells = cells_with_exercises(lesson)
    return "".join(("○" * count if "check." in source else "") + "✓" * count for source, count in cells)


def look_at(document: NotebookNode) -> None:
    """What every run has to be: quiet, and with a picture of each dashboard."""
    said = [out.text for out in outputs(document) if out.output_type == "stream" and out.name == "stderr"]
    assert [text for text in said if text.strip()] == [], "a lesson's cells are quiet"
    if any("lab.dashboard()" in cell.source for cell in document.cells):
        stills = ["labkit-still" in str(out.get("data", {}).get("text/html", "")) for out in outputs(document)]
        assert any(stills), "the dashboard leaves a picture"


@pytest.mark.beside
@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("lesson", LESSONS)
def test_it_runs_and_nothing_is_left(lesson: str, course: Course) -> None:
    run = course.result(lesson)
    assert not run.failure, run.failure
    assert run.document is not None
    walk = lesson.startswith(IN_ONE_RUN)
    assert verdicts(run.document) == (when_walked(lesson) if walk else "○" * exercises(lesson))
    look_at(run.document)
    assert not any(run.left), run.left


@pytest.mark.on_demand
@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("notebook", EACH, ids=name)
def test_it_runs_as_it_is_by_papermill_and_by_nbval(notebook: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    with lab_for_runs(tmp_path / "lab", stop) as lab:
        document = run_by_papermill(notebook, tmp_path / "output.ipynb", lab, stop)
        sign = "✓" if notebook.parent == SOLUTIONS else "○"
        assert verdicts(document) == sign * exercises(notebook.name)
        look_at(document)
        assert not leftovers(lab)
        run_by_nbval(notebook, lab, stop)
        assert not leftovers(lab)


@pytest.mark.beside
@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("lessons", [LESSONS], ids=["all"])
def test_the_course_fits_in_its_time(lessons: list[str], course: Course) -> None:
    """Three at a time, which two cores carry alone; measured here, where one at a time runs beside other tests."""
    took_s = {lesson: round(course.result(lesson).seconds) for lesson in lessons}
    assert sum(took_s.values()) / SIDE_BY_SIDE < COURSE_S, took_s


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_walk_has_each_exercise_as_it_is_and_then_solved(lesson: str) -> None:
    unsolved, solved = [nbformat.read(folder / lesson, as_version=4).cells for folder in (NOTEBOOKS, SOLUTIONS)]
    sources = {cell.id: cell.source for cell in unsolved}
    changed = {cell.id: cell.source for cell in solved if sources[cell.id] != cell.source}
    assert len(changed) == len(cells_with_exercises(lesson))
    expected = []
    for cell in unsolved:
        expected += [cell.source, changed[cell.id]] if cell.id in changed else [cell.source]
    assert [cell.source for cell in walked(lesson).cells] == expected


def test_a_run_that_fails_says_what_was_printed_and_one_that_is_broken_off_ends(tmp_path: Path) -> None:
    lab = Lab(load_settings().model_copy(update={"home": tmp_path}))
    stop = threading.Event()
    with pytest.raises(LessonError, match="nothing_of_this_name"):
        run_module(["nothing_of_this_name"], EACH[0], lab, stop)
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(LessonError, match="broken off"):
        run_module(["http.server", "--bind", "127.0.0.1", "0"], EACH[0], lab, stop)
    assert not [child for child in psutil.Process().children() if "http.server" in child.cmdline()]


def test_a_course_that_is_left_breaks_off_and_leaves_nothing(tmp_path: Path) -> None:
    home = str(tmp_path / LESSONS[0] / "lab")

    def ours() -> list[psutil.Process]:
        found = psutil.process_iter(["cmdline"])
        return [process for process in found if home in " ".join(process.info["cmdline"] or [])]

    with Course(LESSONS[:1], tmp_path) as course:
        deadline = time.monotonic() + 120
        while not ours():
            assert time.monotonic() < deadline, "the lesson starts its lab"
            time.sleep(0.5)
    assert ours() == []
    assert course.result(LESSONS[0]).failure.startswith("broken off")


def test_a_lesson_that_nobody_runs_any_more_is_told(tmp_path: Path) -> None:
    with Course(["12_none.ipynb"], tmp_path) as course:
        assert "12_none.ipynb" in course.result("12_none.ipynb").failure
    with pytest.raises(LessonError, match="01_first_digit.ipynb was not run"):
        course.result("01_first_digit.ipynb")


def test_an_unknown_lesson_is_named() -> None:
    command = [sys.executable, "-m", "tools.course", "12_none.ipynb"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 1
    assert "no lesson 12_none.ipynb. There are: 01_first_digit.ipynb, " in done.stderr


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
