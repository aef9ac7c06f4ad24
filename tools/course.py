"""Run every lesson on the real servers, in a lab of its own: solved and unsolved, each by papermill and by nbval.

    python -m tools.course [LESSON ...]

tells how long that takes. The tests run the same beside everything else, see `Course`.
"""

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.synchronize import Event, Semaphore
from pathlib import Path
from types import TracebackType

import nbformat
import psutil
import psycopg
from kafka import KafkaAdminClient
from nbformat import NotebookNode

from labkit import Lab
from labkit.capture.configs import load_config
from labkit.lab import ROUTES
from labkit.settings import TEST_TABLE, TRAIN_TABLE, load_settings
from labkit.stream.topics import CLIENT
from tools.make_exercises import NOTEBOOKS, SOLUTIONS

LESSONS = sorted(path.name for path in SOLUTIONS.glob("*.ipynb"))
SIDE_BY_SIDE = 3
"""Lessons at a time, each in a lab of its own: most of a lesson is waiting for servers, also on two cores."""
NICE = 5
"""Beside other work a lesson takes what that leaves, for the most part."""
PARAMETERS: Mapping[str, Mapping[str, float]] = {
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


@dataclass(frozen=True)
class NotebookRun:
    """A notebook run by papermill, and in the same lab again by nbval.

    Attributes:
        document: The notebook with the outputs of the first run; None where it failed.
        left: What each run left on the servers and on the machine.
        failure: What went wrong in a run; empty where nothing did.
    """

    document: NotebookNode | None
    left: Sequence[set[str]]
    failure: str = ""


@dataclass(frozen=True)
class LessonRun:
    """A lesson's runs.

    Attributes:
        notebooks: Its solution and its exercises.
        processor_s: Seconds of a processor that all of it took, kernels and servers; without those of servers that a
            lesson itself stops with their supervisor.
    """

    notebooks: Mapping[Path, NotebookRun]
    processor_s: float


class LessonError(Exception):
    """A notebook does not run as it should; the message has what was printed."""


class Course(AbstractContextManager["Course"]):
    """The runs of some lessons, in processes of their own: one lesson at a time, until `hurry`.

    What else runs, waits for servers much of the time. One lesson beside it takes the processors it leaves idle.

    Args:
        lessons: File names, each in the solutions' and in the exercises' folder.
        folder: An empty one, for their labs.
    """

    def __init__(self, lessons: Sequence[str], folder: Path) -> None:
        # Not forked: a test's threads, clients and patches are none of a lesson's business.
        context = multiprocessing.get_context("spawn")
        self._turns, self._stop = context.Semaphore(1), context.Event()
        self._pool = ProcessPoolExecutor(SIDE_BY_SIDE, context, _begin, (self._turns, self._stop))
        # The last lessons are the longest: begun first, none of them runs on alone at the end.
        self._runs: Mapping[str, Future[LessonRun]] = {
            lesson: self._pool.submit(_take_turn, lesson, folder / lesson) for lesson in sorted(lessons, reverse=True)
        }
        self._hurried = False

    def hurry(self) -> None:
        """Nothing else runs any more: from now on `SIDE_BY_SIDE` lessons at a time."""
        if not self._hurried:
            for _ in range(SIDE_BY_SIDE - 1):
                self._turns.release()
        self._hurried = True

    def result(self, lesson: str) -> LessonRun:
        """A lesson's runs, as soon as they have ended."""
        return self._runs[lesson].result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Break off what has not ended, and stop the servers of its labs."""
        self._stop.set()
        self.hurry()
        self._pool.shutdown(cancel_futures=True)


class _Worker:
    """What a process of the pool is given at its start."""

    turns: Semaphore
    stop: Event


def _begin(turns: Semaphore, stop: Event) -> None:
    _Worker.turns, _Worker.stop = turns, stop
    os.nice(NICE)


def _take_turn(lesson: str, folder: Path) -> LessonRun:
    with _Worker.turns:
        return run_lesson(lesson, folder, _Worker.stop)


def run_lesson(lesson: str, folder: Path, stop: Event) -> LessonRun:
    """Run a lesson as a newcomer does, in a lab that is not even started; then once more; then so its exercises.

    A notebook that fails does not keep the other from its turn.

    Args:
        lesson: A file name.
        folder: An empty one, for the lab and the outputs.
        stop: Set when it shall break off.
    """
    folder.mkdir(parents=True)
    lab = Lab(load_settings().model_copy(update={"home": folder / "lab"}))
    runs: dict[Path, NotebookRun] = {}
    before_s = _seconds_of_children()
    try:
        for notebook in (SOLUTIONS / lesson, NOTEBOOKS / lesson):
            try:
                runs[notebook] = run_twice(notebook, folder / "output.ipynb", lab, stop)
            except LessonError as failure:
                runs[notebook] = NotebookRun(None, [], str(failure))
        processor_s = _seconds_of_children() - before_s + sum(map(_seconds_of, _processes_of(lab)))
    finally:
        lab.down(report=lambda _: None)
    return LessonRun(runs, processor_s)


def run_twice(notebook: Path, output: Path, lab: Lab, stop: Event) -> NotebookRun:
    """Run a notebook by papermill, and then by nbval.

    The lessons that start an engine take long. They are left at papermill, the solution and then the exercises.
    """
    document = run_by_papermill(notebook, output, lab, stop)
    left = [leftovers(lab)]
    if not notebook.name.startswith(ENGINE_LESSONS):
        run_by_nbval(notebook, lab, stop)
        left.append(leftovers(lab))
    return NotebookRun(document, left)


def run_by_papermill(notebook: Path, output: Path, lab: Lab, stop: Event) -> NotebookNode:
    """Run a notebook in a fresh kernel by papermill; return it with its outputs."""
    options = ["--no-progress-bar", f"--execution-timeout={CELL_TIMEOUT_S}", f"--cwd={notebook.parent}"]
    for name, value in PARAMETERS.get(notebook.name, {}).items():
        options += ["-p", name, str(value)]
    output.unlink(missing_ok=True)
    try:
        run_module(["papermill", *options, str(notebook), str(output)], notebook, lab, stop)
    except LessonError as failure:
        said = "".join(printed(nbformat.read(output, as_version=4)))[-3000:] if output.is_file() else ""
        raise LessonError(f"{failure}\nIt had printed:\n{said}") from failure
    return nbformat.read(output, as_version=4)


def run_by_nbval(notebook: Path, lab: Lab, stop: Event) -> None:
    """Run a notebook by nbval: no cell fails, and those tagged for it have the outputs that are stored."""
    options = ["--nbval-lax", f"--nbval-cell-timeout={CELL_TIMEOUT_S}", "-p", "no:cacheprovider", "-q"]
    run_module(["pytest", *options, str(notebook)], notebook, lab, stop)


def run_module(command: Sequence[str], notebook: Path, lab: Lab, stop: Event) -> None:
    """Run a module of Python in a notebook's folder, on a lab, to its good end.

    Raises:
        LessonError: It ended otherwise, or was broken off.
    """
    environment = {"LABKIT_HOME": str(lab.settings.home), "LABKIT_POLL_INTERVAL_MS": POLL_INTERVAL_MS}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
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


def _seconds_of(process: psutil.Process) -> float:
    """Seconds of a processor that a process has taken, and its children that have ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _seconds_of_children() -> float:
    """The same of this process's children that have ended: papermill, nbval and their kernels."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run the named lessons, or all, with nothing else to wait for, and tell what that took."""
    lessons = sys.argv[1:] or LESSONS
    unknown = sorted(set(lessons) - set(LESSONS))
    if unknown:
        sys.exit(f"There is no lesson {', '.join(unknown)}. There are: {', '.join(LESSONS)}")
    began = time.monotonic()
    failed = False
    with tempfile.TemporaryDirectory() as folder, Course(lessons, Path(folder)) as course:
        course.hurry()
        for lesson in lessons:
            run = course.result(lesson)
            print(f"{lesson}: {run.processor_s:.0f} s of a processor", flush=True)
            for notebook, outcome in run.notebooks.items():
                failed = failed or bool(outcome.failure) or any(outcome.left)
                print(*filter(None, [outcome.failure and f"{notebook}: {outcome.failure}", *outcome.left]), sep="\n")
    print(f"{time.monotonic() - began:.0f} s for {len(lessons)} lessons, each four times", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
