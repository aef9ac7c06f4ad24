"""The page a notebook is shown on: layout and displays.

ipywidgets and IPython carry no types, so what needs them stands here, behind a few typed functions.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import uuid
from collections.abc import Sequence
from typing import Any, cast

import ipywidgets
from anywidget import AnyWidget
from IPython.display import HTML, display, update_display


class Layout:
    """Widgets on a page: one on top, the others in a grid below. The classes are for ``dashboard.css``.

    Args:
        top: The widget above the grid.
        cells: The widgets in the grid, in reading order.
    """

    def __init__(self, top: AnyWidget, cells: Sequence[AnyWidget]) -> None:
        self._grid = ipywidgets.GridBox(list(cells))
        self._grid.add_class("labkit-grid")
        self.view = ipywidgets.VBox([top, self._grid])
        self.view.add_class("labkit-dashboard")

    def show(self, text: str) -> None:
        """Display the widgets; ``text`` stands where widgets cannot be shown."""
        bundle = cast(dict[str, Any], self.view._repr_mimebundle_())  # pyright: ignore[reportPrivateUsage]
        display({**bundle, "text/plain": text}, raw=True)

    def close(self) -> None:
        """Take the widgets off the page."""
        self.view.close()
        self._grid.close()


class Picture:
    """HTML on a page that can be replaced where it stands, wherever it was shown."""

    def __init__(self) -> None:
        self._display_id = uuid.uuid4().hex
        self.shown = False

    def show(self, html: str) -> None:
        """Display it as an output of the running cell."""
        display(HTML(html), display_id=self._display_id)
        self.shown = True

    def replace(self, html: str) -> None:
        """Put this in its place; nothing happens before it was shown."""
        if self.shown:
            update_display(HTML(html), display_id=self._display_id)
