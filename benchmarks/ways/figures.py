"""What a benchmark of the ways has found, and what is made of it: medians and ratios, each with its spread."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel


class Turn(BaseModel):
    """Many rows by one COPY.

    Attributes:
        way: Whose.
        rows: How many were committed.
        done: How many of them the way was done with.
        seconds: From the commit until then.
        processor_us: What each process took meanwhile, microseconds for a row.
    """

    way: str
    rows: int
    done: int
    seconds: float
    processor_us: dict[str, float]

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.done / self.seconds

    @property
    def words(self) -> str:
        """A line for people."""
        lost = "" if self.done >= self.rows else f", {self.rows - self.done} never came"
        taken = ", ".join(f"{name} {us:.0f}" for name, us in self.processor_us.items() if us >= 1)
        return f"{self.way}: {self.rate:,.0f} rows a second{lost}; of the processor for a row, microseconds: {taken}"


class Latency(BaseModel):
    """Single inserts at a rate.

    Attributes:
        way: Whose.
        rate: Inserts a second that were wanted.
        reached: Those that were made.
        p50_ms: Half of the predictions can be read within this, from when their insert was sent, milliseconds.
        p99_ms: So can 99 of 100.
    """

    way: str
    rate: int
    reached: float
    p50_ms: float
    p99_ms: float

    @property
    def words(self) -> str:
        """A line for people."""
        return f"{self.way}: at {self.reached:.0f} inserts a second p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several rounds.

    Attributes:
        median: The one in the middle.
        least: The smallest.
        most: The largest.
    """

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of these values, one at least."""
        return cls(statistics.median(values), min(values), max(values))

    def told(self, decimals: int = 0) -> str:
        """For people: the median, and the range in brackets where there is one."""
        middle, least, most = (f"{value:,.{decimals}f}" for value in (self.median, self.least, self.most))
        return middle if least == most else f"{middle} ({least} to {most})"


class Bench(BaseModel):
    """All that was found.

    Attributes:
        machine: What it ran on.
        date: When, as ISO 8601.
        rows: Rows of each COPY.
        warm_up: Rows before that.
        rounds: How many.
        turns: In the order in which they were run; of each way one a round.
        latencies: So, too; of each rate one a round.
    """

    machine: str
    date: str
    rows: int
    warm_up: int
    rounds: int
    turns: list[Turn]
    latencies: list[Latency]

    @property
    def ways(self) -> list[str]:
        """The ways, in their first order."""
        return list(dict.fromkeys(turn.way for turn in self.turns))

    def rate(self, way: str) -> Spread:
        """Rows a second."""
        return Spread.of([turn.rate for turn in self._turns(way)])

    def lost(self, way: str) -> int:
        """Rows that it was never done with, in all rounds."""
        return sum(turn.rows - turn.done for turn in self._turns(way))

    def ratio(self, way: str, to: str) -> Spread | None:
        """How many times as many rows a second as another, each round by itself; None where that was not measured."""
        other = self._turns(to)
        if not other:
            return None
        pairs = zip(self._turns(way), other, strict=True)
        return Spread.of([one.rate / another.rate for one, another in pairs])

    def processor_us(self, way: str) -> Mapping[str, float]:
        """What each process took, microseconds for a row: medians."""
        turns = self._turns(way)
        return {
            name: statistics.median(turn.processor_us.get(name, 0.0) for turn in turns)
            for name in turns[0].processor_us
        }

    def latency(self, way: str, rate: int) -> tuple[Spread, Spread] | None:
        """p50 and p99 at a rate; None where that was not measured."""
        found = [one for one in self.latencies if (one.way, one.rate) == (way, rate)]
        if not found:
            return None
        return Spread.of([one.p50_ms for one in found]), Spread.of([one.p99_ms for one in found])

    def _turns(self, way: str) -> list[Turn]:
        return [turn for turn in self.turns if turn.way == way]
