"""The way back from the page: one request, answered in one status line."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from textwrap import shorten

import traitlets

from labkit.widgets.checks import take_request, take_seq
from labkit.widgets.live_widget import LiveWidget
from labkit.widgets.telling import telling

MAX_STATUS = 400
"""Characters of a status line."""
STATUS_KEPT_S = 4.0
"""How long a status line stays at least: long enough to be read."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Job:
    """What a checked request comes to.

    Attributes:
        waiting: The status line while it runs, such as ``sending…``.
        work: Does it and returns the status line that says so. May take seconds.
        done: Called after success, before the status line is set.
    """

    waiting: str
    work: Callable[[], str]
    done: Callable[[], None] = _nothing


class RequestWidget(LiveWidget):
    """A widget whose page may ask for something.

    The page writes ``outbox``, an object with a fresh ``seq`` and the request's fields. A subclass says in
    `job` what the request comes to. ipywidgets swallows what an observer raises, so everything raised here,
    and by the job, ends in the status line.

    Jobs run one after the other in a thread of the widget's own, so that the kernel goes on answering while a
    server does not.

    Traits:
        outbox: The newest request, written by the page. Untrusted.
        received: ``seq`` of the newest request taken, by which the page notices a kernel that is busy.
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
        self._said_at = float("-inf")
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=type(self).__name__)
        self.observe(self._on_outbox, names="outbox")

    def job(self, request: dict[str, object]) -> Job:
        """Check a request and say what it comes to.

        Raises:
            LabError: The request is not one this widget understands.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Take the widget off the page and end its thread after the running job."""
        super().close()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def say(self, kind: str, line: str) -> None:
        """Set the status line: one line, however long the words are."""
        with self.updating():
            self.status_kind = kind
            self.status = shorten(line, MAX_STATUS, placeholder="…")
            self._said_at = time.monotonic()

    def forget_status(self) -> None:
        """Clear a line that speaks of what is past, once it could be read; an error stays until somebody goes on."""
        if self.status_kind != "error" and not self.busy and time.monotonic() - self._said_at > STATUS_KEPT_S:
            self.status = ""

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
            job = self.job(request)
            self.busy = True
            if _has_event_loop():
                self._worker.submit(self._do, job)
            else:  # A plain script: nobody to keep waiting but the caller.
                self._do(job)

    def _do(self, job: Job) -> None:
        with self.updating():
            self.busy = True  # Again: the job before this one may have ended since.
            self.say("info", job.waiting)
        with telling(self.say_error):
            line = job.work()
            job.done()
            self.say("ok", line)
        with self._lock:
            self.busy = False


def _has_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
