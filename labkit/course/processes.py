"""A function of a notebook, run in a process of its own: one that can be killed."""

import inspect
import json
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from labkit.errors import LabError

# Where the notebook's kernel ends, its end of the pipe closes: no process is left behind, however the kernel ended.
WATCH = """\
import os, sys, threading

def _end_with_the_notebook():
    # Not sys.stdin: its lock, held by a waiting thread, would abort a Python that ends by itself.
    while os.read(0, 1):
        pass
    os._exit(1)

threading.Thread(target=_end_with_the_notebook, daemon=True).start()
"""


class Process(AbstractContextManager["Process"]):
    """A function that runs in a Python of its own. Leaving the ``with`` block kills it.

    Args:
        function: A function of a notebook or module that imports within itself all it uses: its source is all that
            the other process knows of it. What it prints and flushes can be read here.
        arguments: What JSON can carry: text, numbers, true and false.
    """

    def __init__(self, function: Callable[..., None], *arguments: str | float) -> None:
        # The arguments come by JSON: whatever is in a name, it stays text.
        call = f"import json\n{function.__name__}(*json.loads(sys.argv[1]))"
        program = f"{WATCH}\n{textwrap.dedent(inspect.getsource(function))}\n{call}"
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def read_lines(self, count: int | None = None) -> list[str]:
        """The next lines that the function prints, or all until its end.

        Raises:
            LabError: It ended before by an error; the message is the error's last line.
        """
        assert self._process.stdout is not None  # It is a pipe, see above.
        lines: list[str] = []
        while count is None or len(lines) < count:
            line = self._process.stdout.readline()
            if not line:
                self._look_at_the_end()
                break
            lines.append(line.rstrip("\n"))
        return lines

    def kill(self) -> int:
        """Kill it with signal 9, which no program can catch: no clean-up, no last word, no goodbye to the broker.

        Returns:
            Its process id, as it was.
        """
        self._process.kill()
        self._process.wait()
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """0 where the function came to its end, minus the signal where it was killed, None while it runs."""
        return self._process.poll()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def _look_at_the_end(self) -> None:
        if self._process.wait() not in (0, -signal.SIGKILL):
            self._errors.seek(0)
            last = "".join(self._errors.read().strip().splitlines()[-1:])
            raise LabError(f"the process failed: {last}", "run the cell again, or: labkit status")
