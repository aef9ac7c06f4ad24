"""Halves that wait for their other half: of events for their predictions, and of predictions for their events."""

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Waiting(Generic[Key, Value]):
    """Keeps the newest that wait, and of those before them a sample, evenly spread.

    So however far one side is behind the other, some of what it now comes to has waited for it. The sample thins out as
    the backlog grows, and is dense again once a backlog has shrunk to a quarter of what it may hold.

    Args:
        newest: How many are kept without a gap.
        sampled: How many at most of the older ones.
    """

    def __init__(self, newest: int, sampled: int) -> None:
        self._newest: dict[Key, Value] = {}
        self._sample: dict[Key, Value] = {}
        self._most_newest, self._most_sampled = newest, sampled
        self._outgrown = 0
        self._spacing = 1

    def __len__(self) -> int:
        return len(self._newest) + len(self._sample)

    def put(self, key: Key, value: Value) -> None:
        """Let one wait, the newest of all."""
        self._newest[key] = value
        if len(self._newest) > self._most_newest:
            oldest = next(iter(self._newest))
            self._outgrow(oldest, self._newest.pop(oldest))

    def pop(self, key: Key) -> Value | None:
        """Take one away, if it is there."""
        found = self._newest.pop(key, None)
        if found is None:
            found = self._sample.pop(key, None)
        if len(self._sample) <= self._most_sampled // 4:
            self._spacing = 1
        return found

    def _outgrow(self, key: Key, value: Value) -> None:
        self._outgrown += 1
        if self._outgrown % self._spacing:
            return
        self._sample[key] = value
        if len(self._sample) > self._most_sampled:
            # Half of it, from all its length: the next ones are taken at half the density, too.
            for every_other in list(self._sample)[::2]:
                del self._sample[every_other]
            self._spacing *= 2
