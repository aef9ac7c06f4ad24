"""What the dashboard asks of the outside: verbs that change the stream, questions about its past, and some facts."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labkit.capture.event import Operation
from labkit.digits import Disturbance
from labkit.model.live_state import CountedDigit, RawRecord, ScoredEvent
from labkit.model.score import ModelName


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

    def start_sending(self, rate: float, how: Disturbance, strength: float) -> None:
        """Insert sample digits, ``rate`` a second, disturbed by ``strength``, 0 to 1; again: change these."""
        ...

    def stop_sending(self) -> None:
        """Stop inserting samples; no error if none are sent."""
        ...

    def start_scorer(self) -> None:
        """Start the scorer; no error if it runs."""
        ...

    def stop_scorer(self) -> None:
        """Stop the scorer; no error if it is stopped."""
        ...

    def reset_scores(self) -> None:
        """Begin the scores anew, on every screen."""
        ...

    def digits_of(self, label: int, predicted: int, model: ModelName) -> Sequence[CountedDigit]:
        """The newest digits in one cell of a model's confusion matrix, newest first."""
        ...

    def record(self, table: str, partition: int, offset: int) -> RawRecord:
        """One change event's record as Kafka holds it."""
        ...

    def older_events(
        self,
        table: str | None,
        operation: Operation | None,
        before: Mapping[str, Mapping[int, int]],
        before_ms: float | None,
        count: int,
    ) -> Sequence[ScoredEvent]:
        """The newest events before given offsets, by table and partition, or before a time; newest first."""
        ...

    @property
    def sending(self) -> bool:
        """Whether samples are being sent now. Read at every refresh, so cheap."""
        ...

    @property
    def sending_problem(self) -> str:
        """Why sending ended by itself; empty where it did not. Cheap, too."""
        ...

    @property
    def capture_problem(self) -> str:
        """What keeps changes from being captured; empty where all is well. Cheap, too."""
        ...

    @property
    def scoring(self) -> bool:
        """Whether the scorer runs. Cheap, too."""
        ...
