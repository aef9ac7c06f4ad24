"""How long each hop of a digit's way takes, over the last minute."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labkit.model.prediction import Prediction

WINDOW_MS = 60_000.0
CAPACITY = 65_536
"""Digits remembered, 3 MB: a minute at a thousand a second."""
PERCENTILES = (50, 95, 99)
HOPS = ("captured", "in Kafka", "read", "predicted", "seen")
"""What has happened at the end of each hop; the first begins with the commit."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of each hop and of the whole way.

    Attributes:
        digits: How many digits they are of.
        hops: By hop, and under ``total``: the 50th, 95th and 99th percentile, milliseconds.
    """

    digits: int
    hops: Mapping[str, tuple[float, ...]]

    @property
    def median_ms(self) -> float:
        """Median of the whole way from commit to seen."""
        return self.hops["total"][0]


def hop_times(prediction: Prediction, seen_ms: float) -> tuple[float, ...]:
    """Milliseconds of each of `HOPS`, in their order. They add up to the whole way.

    Args:
        prediction: It carries the time of each hop but the last.
        seen_ms: When the prediction was read here, milliseconds since the Unix epoch.
    """
    ends = (
        prediction.committed_ms,
        prediction.captured_ms,
        prediction.recorded_ms,
        prediction.read_ms,
        prediction.predicted_ms,
        seen_ms,
    )
    return tuple(end - start for start, end in zip(ends, ends[1:], strict=False))


class LatencyWindow:
    """The hop times of the digits seen within the last minute, as many as it holds."""

    def __init__(self) -> None:
        self._seen_ms = np.full(CAPACITY, -np.inf)
        self._times = np.zeros((CAPACITY, len(HOPS) + 1))
        self._next = 0

    def add(self, prediction: Prediction, seen_ms: float) -> None:
        """Take one digit in."""
        times = hop_times(prediction, seen_ms)
        self._seen_ms[self._next] = seen_ms
        self._times[self._next] = (*times, sum(times))
        self._next = (self._next + 1) % CAPACITY

    def percentiles(self, now_ms: float) -> Latency | None:
        """Percentiles over the last minute; None where nothing was seen in it."""
        recent = self._times[self._seen_ms >= now_ms - WINDOW_MS]
        if not len(recent):
            return None
        cuts = np.percentile(recent, PERCENTILES, axis=0).T
        names = (*HOPS, "total")
        return Latency(len(recent), {name: tuple(map(float, cut)) for name, cut in zip(names, cuts, strict=True)})
