"""Watches the capture in the background, for a screen that must not wait for an answer."""

import threading
from collections.abc import Callable

from labkit.errors import LabError

LOOK_EVERY_S = 3.0
"""So that whatever has happened is told within ten seconds, also where a look itself takes some."""


class Watch:
    """Asks something again and again in a thread of its own, and keeps the newest answer.

    Args:
        look: Returns what is wrong in one line, or an empty string; a `LabError` of its own is told, too.
        every_s: Seconds between two looks.
    """

    def __init__(self, look: Callable[[], str], every_s: float = LOOK_EVERY_S) -> None:
        self._look = look
        self._every_s = every_s
        self._problem = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="labkit-watch", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str:
        """What was wrong at the last look; empty where all was well."""
        return self._problem

    def stop(self) -> None:
        """Look no more. A look that is under way ends by itself."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._problem = self._look()
            except LabError as error:
                self._problem = str(error)
            self._stop.wait(self._every_s)
