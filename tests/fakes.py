"""What tests of the widgets put in the place of a stream: events made by hand, and actions that note what was asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.capture.event import ChangeEvent, Operation
from labkit.model.latency import HOPS, Latency
from labkit.model.live_state import CountedDigit, RawRecord, ScoredEvent
from labkit.model.prediction import Prediction

LINE = [[[0.5, 0.1], [0.5, 0.9]]]
T0 = 1_700_000_000_000.0
"""Some moment, milliseconds since the epoch."""
LATENCY = Latency(40, dict.fromkeys(HOPS, (1.0, 2.0, 3.0)) | {"total": (13.2, 20.0, 30.0)})


def scored_event(
    offset: int = 1,
    operation: Operation = "c",
    label: int | None = 7,
    predicted: int | None = 7,
    table: str = "mnist_test",
) -> ScoredEvent:
    """An event of row 1000 + offset and, unless predicted is None, its prediction."""
    pixels = None if operation == "d" else bytes([offset % 256]) * 784
    event = ChangeEvent(
        table=table,
        row_id=1000 + offset,
        operation=operation,
        label=label,
        pixels=pixels,
        lsn=(22 << 32) + 0xB374D848,
        transaction=700 + offset,
        committed_ms=T0,
        captured_ms=T0 + 4,
        recorded_ms=T0 + 6.5,
        topic=f"lab.public.{table}",
        partition=0,
        offset=offset,
    )
    if predicted is None:
        return ScoredEvent(event, None, seen_ms=T0 + 13.25)
    prediction = Prediction(
        table=table,
        row_id=event.row_id,
        operation=operation,
        label=label,
        predicted=predicted,
        probabilities=tuple(0.91 if digit == predicted else 0.01 for digit in range(10)),
        model_version="v3",
        lsn=event.lsn,
        partition=0,
        offset=offset,
        committed_ms=event.committed_ms,
        captured_ms=event.captured_ms,
        recorded_ms=event.recorded_ms,
        read_ms=T0 + 8,
        predicted_ms=T0 + 8.5,
        continual=predicted,
    )
    return ScoredEvent(event, prediction, seen_ms=T0 + 13.25, predicted_seen_ms=T0 + 14)


class Calls:
    """Actions that only note that they were called."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []
        self.sending = False
        self.scoring = True
        self.sending_problem = ""
        self.capture_problem = ""
        self.older: Sequence[ScoredEvent] = ()

    def insert(self, pixels: Any, label: int | None) -> int:
        self.made.append(("insert", label))
        return 1001

    def relabel(self, row_id: int, label: int) -> None:
        self.made.append(("relabel", row_id, label))

    def delete(self, row_id: int) -> None:
        self.made.append(("delete", row_id))

    def start_sending(self, rate: float, how: str, strength: float) -> None:
        self.made.append(("start", rate, how, strength))
        self.sending = True

    def stop_sending(self) -> None:
        self.made.append(("stop",))
        self.sending = False

    def start_scorer(self) -> None:
        self.scoring = True

    def stop_scorer(self) -> None:
        self.scoring = False

    def reset_scores(self) -> None:
        self.made.append(("reset",))

    def digits_of(self, label: int, predicted: int, model: str) -> Sequence[CountedDigit]:
        self.made.append(("digits", label, predicted, model))
        return [CountedDigit(row_id, bytes([row_id % 10]) * 784) for row_id in (1002, 1001)]

    def record(self, table: str, partition: int, offset: int) -> RawRecord:
        self.made.append(("record", table, partition, offset))
        headers = (("__op", b"c"), ("odd", b"\xff\x00"), ("empty", None))
        return RawRecord(
            f"lab.public.{table}", partition, offset, int(T0), str(1000 + offset).encode(), b"\x01\xff", headers
        )

    def older_events(
        self,
        table: str | None,
        operation: Operation | None,
        before: Mapping[str, Mapping[int, int]],
        before_ms: float | None,
        count: int,
    ) -> Sequence[ScoredEvent]:
        self.made.append(("older", table, operation, before, before_ms, count))
        return self.older
