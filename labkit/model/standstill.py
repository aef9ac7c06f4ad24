"""A loop that must not stand still: a process that is restarted when it ends can be mended by ending it."""

import faulthandler
import time

STANDSTILL_S = 60.0
"""No turn of a loop takes so long, also where a network is compiled on a busy machine."""


class EndAtStandstill:
    """From the first `turn` on, ends this process where the next is not called in time, and tells where it stands.

    It helps where a call never comes back: librdkafka waits by the wall clock, and where somebody sets that back by an
    hour, a wait of half a second takes an hour. Python's own `faulthandler` does it, in a thread that needs no other;
    there is one of it in a process.

    Args:
        within_s: How long a turn may take, seconds.
    """

    def __init__(self, within_s: float = STANDSTILL_S) -> None:
        self._within_s = within_s
        self._armed_at = float("-inf")

    def turn(self) -> None:
        """The loop turns. It may do so a hundred times a second: only some of the calls start to wait anew."""
        if time.monotonic() - self._armed_at > self._within_s / 10:
            self._armed_at = time.monotonic()
            faulthandler.dump_traceback_later(self._within_s, exit=True)

    def rest(self) -> None:
        """The loop has ended: what comes now may take as long as it likes."""
        faulthandler.cancel_dump_traceback_later()
        self._armed_at = float("-inf")
