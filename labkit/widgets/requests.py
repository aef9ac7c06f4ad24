"""The way back from the page: one request, answered in one status line."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import shorten

import anywidget
import traitlets

from labkit.widgets.checks import take_request, take_seq
from labkit.widgets.telling import telling

MAX_STATUS = 400
"""Characters of a status line."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Job:
    """What a checked request comes to.

    Attributes:
        waiting: The status line while it runs, such as ``sending…``.
        work: Does it and returns the status line that says so. May take seconds: runs in a thread where it can.
        done: Called after success, on the thread that runs the widget.
    """

    waiting: str
    work: Callable[[], str]
    done: Callable[[], None] = _nothing


class RequestWidget(anywidget.AnyWidget):
    """A widget whose page may ask for something.

    The page writes ``outbox``, an object with a fresh ``seq`` and the request's fields. A subclass says in `job` what
    the request comes to. ipywidgets swallows what an observer raises, so everything raised here, and by the job, ends
    in the status line.

    Traits:
        outbox: The newest request, written by the page. Untrusted.
        received: ``seq`` of the newest request taken; the page waits for it and so notices a kernel that is busy.
        busy: Whether a job runs.
        status: One line for people.
        status_kind: ``info``, ``ok`` or ``error``.
    """

    outbox = traitlets.Any(None).tag(sync=True)
    received = traitlets.Int(0).tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    status_kind = traitlets.Enum(("info", "ok", "error"), "info").tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        # Two pages on one kernel number their requests apart, so "newer than the last" would not do.
        self._handled: deque[int] = deque(maxlen=256)
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self.observe(self._on_outbox, names="outbox")

    def job(self, request: dict[str, object]) -> Job:
        """Check a request and say what it comes to.

        Raises:
            LabError: The request is not one this widget understands.
        """
        raise NotImplementedError

    def say(self, kind: str, line: str) -> None:
        """Set the status line: one line, however long the words are."""
        with self.hold_sync():
            self.status_kind = kind
            self.status = shorten(line, MAX_STATUS, placeholder="…")

    def say_error(self, words: str) -> None:
        """Say in the status line what went wrong."""
        self.say("error", words)

    def _on_outbox(self, change: dict[str, object]) -> None:
        with telling(self.say_error):
            request = take_request(change["new"])
            seq = take_seq(request)
            if seq in self._handled:
                return
            self._handled.append(seq)
            self.received = seq
            self._begin(self.job(request))

    def _begin(self, job: Job) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # A plain script: nobody to keep waiting but the caller.
            line = job.work()
            job.done()
            self.say("ok", line)
            return
        task = loop.create_task(self._do_aside(job))
        self._tasks.add(task)  # The loop holds tasks weakly.
        task.add_done_callback(self._tasks.discard)

    async def _do_aside(self, job: Job) -> None:
        """Do a job in a thread, so that the kernel goes on answering; its end is told on the loop's thread."""
        async with self._one_at_a_time:
            self.busy = True
            self.say("info", job.waiting)
            with telling(self.say_error):
                line = await asyncio.to_thread(job.work)
                job.done()
                self.say("ok", line)
            self.busy = False
