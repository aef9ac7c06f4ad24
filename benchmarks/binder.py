"""A whole session on Binder, measured: memory after each step, processor time when idle, and how long the steps take.

It needs an image that Binder's build made, in the Docker engine that the environment names (tests/test_binder.py leaves
one), and Chromium: notebooks are opened in a real browser, run from the top, and left open with their kernels, as a
person would.

Usage: python -m benchmarks.binder IMAGE [notebook ...]
"""

import json
import sys
import threading
import time
from collections.abc import Sequence

from playwright.sync_api import expect

from tests.binder.browser import run_notebook
from tests.binder.session import Memory, Session, session
from tools.notebook_browser import chromium, region

DASHBOARD = "notebooks/00_dashboard.ipynb"
NOTEBOOKS = [
    f"notebooks/{name}.ipynb"
    for name in (
        "01_first_digit",
        "02_why_change_data_capture",
        "03_debezium_in_kafka_connect",
        "06_live_dashboard",
    )
]
IDLE_S = 60.0


class Watch:
    """The most memory since the last look, sampled ten times a second."""

    def __init__(self, session: Session) -> None:
        self._session, self._most, self._stop = session, session.memory(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            now = self._session.memory()
            if now.anonymous > self._most.anonymous:
                self._most = now

    def take(self) -> Memory:
        """The moment of most memory since the last call."""
        most, self._most = self._most, self._session.memory()
        return most

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()


def main(arguments: Sequence[str]) -> None:
    """Run the session and print what it took."""
    image, *notebooks = arguments
    steps: list[dict[str, object]] = []
    with session(image) as here:
        watch = Watch(here)

        def note(step: str, started: float) -> None:
            most, now = watch.take(), here.memory()
            steps.append(
                {
                    "step": step,
                    "seconds": round(time.monotonic() - started, 1),
                    "most MiB": round(most.anonymous),
                    "then MiB": round(now.anonymous),
                    "files MiB": round(now.files),
                    "killed": now.kills,
                    "read from disk": now.major_faults,
                }
            )
            print(steps[-1], file=sys.stderr)

        started = time.monotonic()
        note(f"JupyterLab answers after {here.seconds:.1f} s", started)
        with chromium(here.notebook_url(DASHBOARD)) as page:
            expect(region(page, "draw a digit")).to_be_visible(timeout=300_000)
            note("dashboard", started)
            for path in notebooks or NOTEBOOKS:
                started = time.monotonic()
                run_notebook(page, path)
                if problems := here.errors(path):
                    raise RuntimeError(f"{path}: {problems}")
                note(path, started)
            for where in ("with the page open", "without it"):
                if where == "without it":
                    page.goto("about:blank")
                started, before = time.monotonic(), here.cpu_s()
                time.sleep(IDLE_S)
                note(f"idle {where}: {100 * (here.cpu_s() - before) / IDLE_S:.0f} % of a core", started)
        watch.close()
    print(json.dumps(steps, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
