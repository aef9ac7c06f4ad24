"""A widget whose traits may be set from several threads."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

import anywidget


class LiveWidget(anywidget.AnyWidget):
    """A widget that one thread at a time may change.

    JupyterLab 4.6 delivers what the page sends in a thread of its own (a kernel subshell), even while a cell runs: so
    traits are set under `updating`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        super().__init__()

    @contextmanager
    def updating(self) -> Generator[None]:
        """Set several traits as one message to the page, with no other thread in between."""
        with self._lock, self.hold_sync():
            yield

    def set_state(self, sync_data: dict[str, object]) -> None:
        """Take what the page sends; ipywidgets calls it, in whatever thread the message arrives."""
        with self._lock:
            super().set_state(sync_data)  # pyright: ignore[reportUnknownMemberType] - ipywidgets has no types
