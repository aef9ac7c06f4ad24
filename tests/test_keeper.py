"""What the keeper of processes ends, and what it leaves alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from labkit.settings import Settings
from labkit.stack import keeper
from labkit.stack.keeper import Keeper

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
WILLING = "import time; print('ready', flush=True); time.sleep(60)"


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_what_an_earlier_one_left_is_gone_afterwards_and_a_strangers_process_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "ORPHANS_END_S", 1.0)
    mark = tmp_path / "lab" / "kafka"
    own = [
        started(WILLING, f"--config={mark}/broker.properties"),
        started(WILLING, str(mark)),
        started(DEAF, f"{mark}/broker.properties"),
    ]
    others = [started(WILLING, f"{mark}-2/broker.properties"), started(WILLING, f"--config=/other{mark}/file")]
    try:
        Keeper(Settings(home=tmp_path / "lab")).stop_orphans([str(mark)])
        # Not waited for here: what is still about when the call returns is a failure.
        assert [process.poll() is not None for process in [*own, *others]] == [True, True, True, False, False]
    finally:
        for process in [*own, *others]:
            process.kill()
            process.wait()
