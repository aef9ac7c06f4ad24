"""Relabel and delete: the two things a page may ask for a row that is already in the table."""

from collections.abc import Callable

from labkit.errors import LabError
from labkit.settings import TEST_TABLE
from labkit.widgets.checks import MAX_ROW_ID, take_whole
from labkit.widgets.request_widget import Job, RequestWidget

OnRelabel = Callable[[int, int], None]
OnDelete = Callable[[int], None]


class RowRequestWidget(RequestWidget):
    """A widget whose rows of ``mnist_test`` may be relabelled and deleted.

    Args:
        on_relabel: Called with row id and new label. May be slow, may raise: the status line tells.
        on_delete: Called with the row id, likewise.
    """

    def __init__(self, on_relabel: OnRelabel | None = None, on_delete: OnDelete | None = None) -> None:
        super().__init__()
        self._on_relabel = on_relabel
        self._on_delete = on_delete

    def job(self, request: dict[str, object]) -> Job:
        """Check a request ``{action, table, row_id, label}``; see `RequestWidget.job`."""
        action, table = request.get("action"), request.get("table")
        if table != TEST_TABLE:
            raise LabError(f"only rows of {TEST_TABLE} can be changed here", f"choose a row of {TEST_TABLE}")
        row_id = take_whole(request, "row_id", 0, MAX_ROW_ID)
        if action == "relabel":
            return self._relabel_job(row_id, take_whole(request, "label", 0, 9))
        if action == "delete":
            return self._delete_job(row_id)
        raise LabError("the page asked for something other than relabel or delete", "reload the page")

    def _relabel_job(self, row_id: int, label: int) -> Job:
        relabel = self._on_relabel
        if relabel is None:
            raise LabError("nothing is connected that could relabel", "pass on_relabel to the widget")

        def work() -> str:
            relabel(row_id, label)
            return f"row {row_id} is now labelled {label}"

        return Job(f"relabelling row {row_id}…", work)

    def _delete_job(self, row_id: int) -> Job:
        delete = self._on_delete
        if delete is None:
            raise LabError("nothing is connected that could delete", "pass on_delete to the widget")

        def work() -> str:
            delete(row_id)
            return f"row {row_id} deleted"

        return Job(f"deleting row {row_id}…", work)
