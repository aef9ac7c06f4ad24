"""The prediction: what the model said of one change event, as recorded in Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labkit.capture.event import ChangeEvent, Operation

DECIMALS = 4
"""Of probabilities, as they are recorded."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One scored change event.

    Times are milliseconds since the Unix epoch.

    Attributes:
        table: Table of the row.
        row_id: Primary key of the row.
        operation: Operation of the change event that was scored.
        label: The row's label after the change; None for an unlabelled row and a delete.
        predicted: The most probable digit, 0 to 9; None for a delete, which has no image.
        probabilities: Ten probabilities, digit 0 first, that sum to 1 but for rounding; empty for a delete.
        model_version: Version of the model that predicted.
        lsn: Log sequence number of the change event.
        partition: Partition of the change event's record.
        offset: Offset of the change event's record: with partition and LSN, its identity.
        committed_ms: When PostgreSQL committed the change.
        captured_ms: When the connector handled it.
        recorded_ms: Timestamp of its Kafka record.
        read_ms: When the scorer had read it.
        predicted_ms: When the network had answered.
        continual: The digit that the continually trained copy of the model said, before it learned this one; None for
            a delete, and where an engine scores, which has no such copy.
    """

    table: str
    row_id: int
    operation: Operation
    label: int | None
    predicted: int | None
    probabilities: tuple[float, ...]
    model_version: str
    lsn: int
    partition: int
    offset: int
    committed_ms: float
    captured_ms: float
    recorded_ms: float
    read_ms: float
    predicted_ms: float
    continual: int | None = None

    @classmethod
    def of(
        cls,
        event: ChangeEvent,
        probabilities: Sequence[float],
        model_version: str,
        read_ms: float,
        predicted_ms: float,
        *,
        continual: int | None = None,
    ) -> "Prediction":
        """What a model said of a change event: the most probable digit, the first of equals.

        Args:
            event: The change event.
            probabilities: Ten, digit 0 first, as `recorded` gives them; none for a delete.
            model_version: As of the attributes, as are the others.
            read_ms: When the event had been read.
            predicted_ms: When the model had answered.
            continual: What the continually trained copy said; None where there is none.
        """
        return cls(
            table=event.table,
            row_id=event.row_id,
            operation=event.operation,
            label=event.label,
            predicted=probabilities.index(max(probabilities)) if probabilities else None,
            probabilities=tuple(probabilities),
            model_version=model_version,
            lsn=event.lsn,
            partition=event.partition,
            offset=event.offset,
            committed_ms=event.committed_ms,
            captured_ms=event.captured_ms,
            recorded_ms=event.recorded_ms,
            read_ms=read_ms,
            predicted_ms=predicted_ms,
            continual=continual,
        )


def recorded(probabilities: npt.ArrayLike) -> list[tuple[float, ...]]:
    """Probabilities as they are recorded, with `DECIMALS` decimals.

    Of all at once, and before the most probable is taken: then every reader finds the same one.

    Args:
        probabilities: Shape (n, 10).
    """
    return [tuple(row) for row in np.asarray(probabilities, np.float64).round(DECIMALS).tolist()]
