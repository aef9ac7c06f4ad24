"""A clock that can be shifted while a process runs: libfaketime, loaded before it."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIBRARY = Path("vendor", "libfaketime", "src", "libfaketime.so.1")
DAY_S = 86_400


def environment(file: Path) -> dict[str, str]:
    """What shifts the clock of Python processes, and of no other, by what stands in a file; empty without libfaketime.

    Not their monotonic clock: whoever sets a machine's time does not shift that either.
    """
    spec = importlib.util.find_spec("libfaketime")
    if spec is None or spec.origin is None:
        return {}
    return {
        "LD_PRELOAD": str(Path(spec.origin).parent / LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_ONLY_CMDS": "python",
    }


def shift(file: Path, seconds: float) -> None:
    """From a second later on, let the clock go by so much ahead of the machine's, or behind it."""
    file.write_text(f"{seconds:+.0f}")


def works() -> bool:
    """Whether it does on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clock"
        shift(file, -DAY_S)
        told = subprocess.run(
            [sys.executable, "-c", "import time; print(time.time())"],
            env=os.environ | environment(file),
            capture_output=True,
            text=True,
            check=True,
        )
    return float(told.stdout) < time.time() - DAY_S / 2
