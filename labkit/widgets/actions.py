"""What the dashboard asks of the outside: five verbs and one fact."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class DashboardActions(Protocol):
    """What a click on the dashboard does to the stream.

    The dashboard calls the verbs from worker threads, possibly several at once, so that a server that is slow
    to answer never freezes the page. Whatever they raise is shown in a status line; a `LabError` reads best.
    """

    def insert(self, pixels: NDArray[np.uint8], label: int | None) -> int:
        """Insert one drawn digit, a 28×28 uint8 image; return the new row's id."""
        ...

    def relabel(self, row_id: int, label: int) -> None:
        """Set the label of a row of ``mnist_test``."""
        ...

    def delete(self, row_id: int) -> None:
        """Delete a row of ``mnist_test``."""
        ...

    def start_sending(self, rate: float) -> None:
        """Start to insert sample digits, ``rate`` of them a second."""
        ...

    def stop_sending(self) -> None:
        """Stop inserting samples; no error if none are sent."""
        ...

    @property
    def sending(self) -> bool:
        """Whether samples are being sent now. Read at every refresh, so cheap."""
        ...
