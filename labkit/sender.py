"""Sends sample digits into the database at a steady rate, from a background thread."""

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.database import DigitTables
from labkit.digits import Digits, Disturbance, check_disturbance, disturb
from labkit.errors import LabError
from labkit.settings import TEST_TABLE

MIN_RATE = 0.001
MAX_RATE = 1000.0
SINGLE_RATE = 100.0
"""Up to this rate each digit has a transaction of its own, as a person's would; above, those due share one."""
BATCH_S = 0.05


def check_rate(rate: object) -> float:
    """A rate in digits per second, as a number.

    Raises:
        LabError: Not a number, or not within 0.001 to 1000.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not MIN_RATE <= rate <= MAX_RATE:
        raise LabError(
            f"a rate of {rate!r} digits per second cannot be kept", f"a number from {MIN_RATE} to {MAX_RATE:.0f}"
        )
    return float(rate)


class SampleSender:
    """Inserts digits one by one, each in a transaction of its own; at high rates, a twentieth of a second's at once.

    Args:
        tables: The database.
        digits: The samples; sent in order, over and over.
        seed: Makes the noise of disturbed samples repeatable.
    """

    def __init__(self, tables: DigitTables, digits: Digits, seed: int = 0) -> None:
        if len(digits) == 0:
            raise LabError(
                "there are no digits to send", "labkit.digits.load_digits('bundled', 'test') always has some"
            )
        self._tables = tables
        self._samples = itertools.cycle(zip(digits.images, digits.labels, strict=True))
        self.distinct = len(digits)
        self._random = np.random.default_rng(seed)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.sent = 0
        self.problem = ""

    @property
    def sending(self) -> bool:
        """Whether the background thread sends."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, rate: float, how: Disturbance = "clean", strength: float = 0.0) -> None:
        """Send in the background until `stop`; a second start changes the rate and the disturbance.

        Args:
            rate: Digits per second.
            how: What is done to the samples, see `labkit.digits.disturb`.
            strength: How much of it, 0 to 1.

        Raises:
            LabError: The rate cannot be kept, or there is no such disturbance.
        """
        rate, disturbance = check_rate(rate), check_disturbance(how, strength)
        self.stop()
        # An event for each thread: one that still waits for the database when the next starts must end all the same.
        self._stop = threading.Event()
        self.problem = ""
        self._thread = threading.Thread(
            target=self._send_until_stopped, args=(rate, disturbance, self._stop), name="labkit-sender", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop sending; the digit under way is finished."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def send(
        self,
        count: Any,
        rate: float,
        on_sent: Callable[[int, float], None] | None = None,
        *,
        how: Disturbance = "clean",
        strength: float = 0.0,
    ) -> list[int]:
        """Send a number of digits and return when the last is committed.

        Args:
            count: How many.
            rate: Digits per second.
            on_sent: Called after each with its row id and when its insert began, milliseconds since the Unix epoch.
            how: What is done to the samples, see `labkit.digits.disturb`.
            strength: How much of it, 0 to 1.

        Returns:
            The row ids.

        Raises:
            LabError: The rate, the count or the disturbance makes no sense, or the database stayed away.
        """
        rate, disturbance = check_rate(rate), check_disturbance(how, strength)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise LabError(f"{count!r} digits cannot be sent", "a whole number, 0 or more")
        started = time.monotonic()
        ids: list[int] = []
        for number in range(count):
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            began_ms = time.time() * 1000
            ids.append(self._send_one(disturbance))
            if on_sent is not None:
                on_sent(ids[-1], began_ms)
        return ids

    def _send_one(self, disturbance: tuple[Disturbance, float]) -> int:
        image, label = next(self._samples)
        row_id = self._tables.insert(disturb(image, *disturbance, self._random), int(label))
        self.sent += 1
        return row_id

    def _send_batch(self, count: int, disturbance: tuple[Disturbance, float]) -> None:
        if count == 1:
            self._send_one(disturbance)
            return
        images, labels = zip(*itertools.islice(self._samples, count), strict=True)
        disturbed = np.stack([disturb(image, *disturbance, self._random) for image in images])
        self._tables.copy(Digits(disturbed, np.array(labels, np.uint8), "samples"), TEST_TABLE)
        self.sent += count

    def _send_until_stopped(self, rate: float, disturbance: tuple[Disturbance, float], stop: threading.Event) -> None:
        batch = 1 if rate <= SINGLE_RATE else round(rate * BATCH_S)
        started, number = time.monotonic(), 0
        while not stop.wait(max(0.0, started + number / rate - time.monotonic())):
            try:
                self._send_batch(batch, disturbance)
            except LabError as error:
                self.problem = str(error)
                return
            number += batch
