"""A process whose loop stands still is ended, and tells where it stood; one whose loop turns or has ended is not."""

import subprocess
import sys
import time

LOOP = """
import time
from labkit.model.standstill import EndAtStandstill

standstill = EndAtStandstill(within_s=0.5)

def turn_for(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        standstill.turn()
        time.sleep(0.01)

def stand_still():
    time.sleep(60)

turn_for(1.5)
print("turned", flush=True)
"""


def run(end: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", LOOP + end], capture_output=True, text=True, timeout=50)


def test_a_loop_that_stands_still_ends_its_process_and_tells_where() -> None:
    began = time.monotonic()
    ended = run("stand_still()")
    assert time.monotonic() - began < 40
    assert ended.returncode == 1
    assert ended.stdout == "turned\n"
    assert "in stand_still" in ended.stderr


def test_a_loop_that_has_ended_may_be_followed_by_anything() -> None:
    ended = run("standstill.rest(); time.sleep(1); turn_for(0.1); standstill.rest(); time.sleep(1); print('done')")
    assert (ended.returncode, ended.stdout) == (0, "turned\ndone\n"), ended.stderr
