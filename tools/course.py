"""Run every lesson on the real servers, in a lab of its own: its exercises by papermill, its solution by nbval.

    python -m tools.course [LESSON ...]

tells how long each takes. The tests run the same beside everything else, see `Course`.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import nbformat
import psutil
import psycopg
from kafka import KafkaAdminClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from labkit import Lab
from labkit.capture.configs import load_config
from labkit.lab import ROUTES
from labkit.settings import CHECKOUT, TEST_TABLE, TRAIN_TABLE, load_settings
from labkit.stream.topics import CLIENT
from tools.make_exercises import NOTEBOOKS, SOLUTIONS

LESSONS = sorted(path.name for path in SOLUTIONS.glob("*.ipynb"))
SIDE_BY_SIDE = 3
"""Lessons at a time, each in a lab of its own: most of a lesson is waiting for servers, also on two cores."""
BESIDE_TESTS = 1
"""As many where other tests run, too: they want the processors as well."""
NICE = 5
"""Beside other work a lesson takes what that leaves, for the most part."""
PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "01_first_digit.ipynb": {"samples": 7, "epochs": 5},
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
IN_ONE_RUN = ("08_", "09_", "10_", "11_")
"""Lessons that start servers or engines anew again and again, minutes for each run: they are `walked` instead."""
INTERNAL_TOPICS = ("__", "connect-")
POLL_INTERVAL_MS = "100"
"""Of Debezium, in place of 5: three labs that wait would take a whole core of the two for their polls."""
CELL_TIMEOUT_S = 300
RUNNER = "import sys; from tools.course import run_beside; run_beside(int(sys.argv[1]), sys.argv[2], sys.argv[3:])"
"""Not ``-m tools.course``: what a main module pickles belongs to no module that another process could import."""
END_S = 120.0
"""What is broken off has its labs to stop."""


@dataclass(frozen=True)
class LessonRun:
    """What came of a lesson.

    Attributes:
        document: What papermill has run, with its outputs; None where it failed.
        left: What each run left on the servers and on the machine.
        failure: What went wrong; empty where nothing did.
    """

    document: NotebookNode | None
    left: Sequence[set[str]]
    failure: str = ""

    @property
    def seconds(self) -> float:
        """How long papermill took."""
        return self.document.metadata.papermill.duration if self.document else float("nan")


class LessonError(Exception):
    """A notebook does not run as it should; the message has what was printed."""


class Course(AbstractContextManager["Course"]):
    """The runs of some lessons, by a process of their own.

    The end of its input tells the process to break off. So it ends with this one, whatever becomes of that.

    Args:
        lessons: File names, each in the solutions' and in the exercises' folder.
        folder: An empty one, for their labs.
        at_a_time: How many of them.
    """

    def __init__(self, lessons: Sequence[str], folder: Path, at_a_time: int = BESIDE_TESTS) -> None:
        self._folder, self._log = folder, folder / "log"
        with self._log.open("w") as log:
            self._runner = subprocess.Popen(
                [sys.executable, "-c", RUNNER, str(at_a_time), str(folder), *lessons],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                # A terminal's Ctrl-C is this process's: it ends the other one.
                start_new_session=True,
            )

    def result(self, lesson: str) -> LessonRun:
        """What came of a lesson, as soon as it has ended.

        Raises:
            LessonError: What runs them has ended.
        """
        file = _result_file(self._folder, lesson)
        while not file.is_file():
            if self._runner.poll() is not None and not file.is_file():
                raise LessonError(f"{lesson} was not run:\n{self._log.read_text()[-4000:]}")
            time.sleep(0.2)
        return pickle.loads(file.read_bytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Break off what has not ended, and stop the servers of its labs."""
        assert self._runner.stdin is not None
        self._runner.stdin.close()
        try:
            self._runner.wait(END_S)
        finally:
            self._runner.kill()


def _result_file(folder: Path, lesson: str) -> Path:
    return folder / f"{lesson}.pickle"


def run_lessons(lessons: Sequence[str], folder: Path, at_a_time: int, stop: threading.Event) -> None:
    """Run lessons and write what came of each to a file.

    Args:
        lessons: File names.
        folder: For the files, and the lessons' labs.
        at_a_time: How many of them.
        stop: Set when they shall break off.
    """

    def run_one(lesson: str) -> None:
        try:
            run = run_lesson(lesson, folder / lesson, stop)
        except LessonError as error:
            run = LessonRun(None, [], str(error))
        except Exception:  # Its lab does not end, say: a failure of the lesson, and not of the others.
            run = LessonRun(None, [], traceback.format_exc())
        unfinished = folder / f"{lesson}.unfinished"
        unfinished.write_bytes(pickle.dumps(run))
        unfinished.rename(_result_file(folder, lesson))

    with ThreadPoolExecutor(at_a_time) as pool:
        # The last lessons are the longest: begun first, none of them runs on alone at the end.
        for lesson in sorted(lessons, reverse=True):
            pool.submit(run_one, lesson)


def run_lesson(lesson: str, folder: Path, stop: threading.Event) -> LessonRun:
    """Run a lesson as a newcomer does, in a lab that is not even started.

    Its exercises are run as they are, by papermill, and then its solution by nbval; or both in one run, `walked`.

    Args:
        lesson: A file name.
        folder: For the lab and the outputs.
        stop: Set when it shall break off.

    Raises:
        LessonError: A cell fails, or an output is not the stored one.
    """
    folder.mkdir(parents=True)
    notebook, in_one_run = NOTEBOOKS / lesson, lesson.startswith(IN_ONE_RUN)
    if in_one_run:
        notebook = folder / lesson
        nbformat.write(walked(lesson), notebook)
    with lab_for_runs(folder / "lab", stop) as lab:
        document = run_by_papermill(notebook, folder / "output.ipynb", lab, stop)
        left = [leftovers(lab)]
        if not in_one_run:
            run_by_nbval(SOLUTIONS / lesson, lab, stop)
            left.append(leftovers(lab))
    return LessonRun(document, left)


@contextmanager
def lab_for_runs(home: Path, stop: threading.Event) -> Generator[Lab]:
    """A lab that notebooks start, and that is down afterwards, also where they are broken off."""
    lab = Lab(load_settings().model_copy(update={"home": home}))
    try:
        yield lab
    finally:
        if stop.is_set():
            _end_strangers(lab)
        lab.down(report=lambda _: None)


def walked(lesson: str) -> NotebookNode:
    """Every cell of a lesson's exercises and of its solution for one run: each exercise as it is, then as it is solved.

    That no later cell needs the answer is not seen so.
    """
    notebook = nbformat.read(NOTEBOOKS / lesson, as_version=4)
    solved = {cell.id: cell.source for cell in nbformat.read(SOLUTIONS / lesson, as_version=4).cells}
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "code" and solved[cell.id] != cell.source:
            cells.append(new_code_cell(solved[cell.id], id=f"{cell.id}-solved"))
    notebook.cells = cells
    return notebook


def run_by_papermill(notebook: Path, output: Path, lab: Lab, stop: threading.Event) -> NotebookNode:
    """Run a notebook in a fresh kernel by papermill, in the lessons' folder; return it with its outputs."""
    options = ["--no-progress-bar", f"--execution-timeout={CELL_TIMEOUT_S}", f"--cwd={NOTEBOOKS}"]
    for name, value in PARAMETERS.get(notebook.name, {}).items():
        options += ["-p", name, str(value)]
    output.unlink(missing_ok=True)
    try:
        run_module(["papermill", *options, str(notebook), str(output)], notebook, lab, stop)
    except LessonError as failure:
        said = "".join(printed(nbformat.read(output, as_version=4)))[-3000:] if output.is_file() else ""
        raise LessonError(f"{failure}\nIt had printed:\n{said}" if said else str(failure)) from failure
    return nbformat.read(output, as_version=4)


def run_by_nbval(notebook: Path, lab: Lab, stop: threading.Event) -> None:
    """Run a notebook by nbval: no cell fails, and those tagged for it have the outputs that are stored."""
    options = ["--nbval-lax", f"--nbval-cell-timeout={CELL_TIMEOUT_S}", "-p", "no:cacheprovider", "-q"]
    run_module(["pytest", *options, str(notebook)], notebook, lab, stop)


def run_module(command: Sequence[str], notebook: Path, lab: Lab, stop: threading.Event) -> None:
    """Run a module of Python in a notebook's folder, on a lab, to its good end.

    Raises:
        LessonError: It ended otherwise, or was broken off.
    """
    environment = {"LABKIT_HOME": str(lab.settings.home), "LABKIT_POLL_INTERVAL_MS": POLL_INTERVAL_MS}
    if stop.is_set():
        raise LessonError("broken off")
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=notebook.parent,
            env=os.environ | environment,
        )
        while process.poll() is None:
            if stop.wait(0.2):
                process.terminate()
                process.wait()
                raise LessonError("broken off")
        if process.returncode != 0:
            said.seek(0)
            raise LessonError(said.read()[-4000:])


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """All outputs of a notebook's code cells."""
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def printed(notebook: NotebookNode) -> list[str]:
    """What the cells printed."""
    return [out.text for out in outputs(notebook) if out.output_type == "stream"]


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


def _processes_of(lab: Lab) -> Iterator[psutil.Process]:
    """Processes that belong to a lab by their environment."""
    for process in psutil.process_iter(["cmdline"]):
        try:
            if process.environ().get("LABKIT_HOME") == str(lab.settings.home):
                yield process
        except psutil.Error:
            continue  # Gone in the meantime, or somebody else's.


def _strangers(lab: Lab) -> Iterator[psutil.Process]:
    """Processes that belong to a lab, and that its supervisor does not keep."""
    kept = {status.pid for status in lab.stack.status()}
    for process in _processes_of(lab):
        try:
            family = [process, *process.parents()]
            if not any(member.pid in kept or "supervisord" in " ".join(member.cmdline()) for member in family):
                yield process
        except psutil.Error:
            continue


def _end_strangers(lab: Lab) -> None:
    """End what would start servers anew: a kernel that has not noticed yet, and what it starts meanwhile."""
    while strangers := list(_strangers(lab)):
        for process in strangers:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(strangers)


def run_beside(at_a_time: int, folder: str, lessons: Sequence[str]) -> None:
    """Run lessons as `Course` wants it."""
    os.nice(NICE)
    stop = threading.Event()
    running = threading.Thread(target=run_lessons, args=(lessons, Path(folder), at_a_time, stop))
    running.start()
    sys.stdin.read()
    stop.set()
    running.join()


def main() -> None:
    """Run the named lessons, or all, with nothing beside them, and tell how long that took and what failed.

    What the checks said is not looked at here: `tests/test_notebooks.py` does.
    """
    lessons = sys.argv[1:] or LESSONS
    unknown = sorted(set(lessons) - set(LESSONS))
    if unknown:
        sys.exit(f"There is no lesson {', '.join(unknown)}. There are: {', '.join(LESSONS)}")
    began, failed = time.monotonic(), False
    with tempfile.TemporaryDirectory() as folder, Course(lessons, Path(folder), SIDE_BY_SIDE) as course:
        for lesson in lessons:
            run = course.result(lesson)
            problems = list(filter(None, [run.failure, *map(str, filter(None, run.left))]))
            failed = failed or bool(problems)
            print(f"{lesson}: {run.seconds:.0f} s by papermill", *problems, sep="\n")
    print(f"{time.monotonic() - began:.0f} s for all runs of {len(lessons)} lessons, {SIDE_BY_SIDE} at a time")
    sys.exit(failed)


if __name__ == "__main__":
    main()
