"""kill -9 in the middle of a stream: the lab comes back by itself, nothing is lost and nothing counted twice."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from jupyter_client.manager import KernelManager

from labkit import Lab
from labkit.settings import TEST_TABLE
from tests.accounts import score_since_reset

DIGITS = 2000
RATE = 50.0
FIRST_KILL_S, BETWEEN_KILLS_S = 2.0, 5.0
WATCH = "from labkit import Lab; lab = Lab(); view = lab.view"


@pytest.fixture
def kernel() -> Iterator[KernelManager]:
    """A notebook kernel."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


def run(kernel: KernelManager, code: str, expression: str | None = None) -> str:
    """Run code in a kernel; return the repr of an expression."""
    client = kernel.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        reply = client.execute_interactive(
            code, user_expressions={"value": expression or "None"}, timeout=120, output_hook=lambda _: None
        )
        assert reply["content"]["status"] == "ok", reply["content"]
        value = reply["content"]["user_expressions"]["value"]
        assert value["status"] == "ok", value
        return value["data"]["text/plain"]
    finally:
        client.stop_channels()


def kill(lab: Lab, service: str) -> int:
    """Kill -9 one of the lab's services; return its process id."""
    (pid,) = [status.pid for status in lab.stack.status() if status.name == service]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def test_every_part_killed_in_one_stream(scoring_lab: Lab, kernel: KernelManager) -> None:
    lab = scoring_lab
    run(kernel, WATCH)
    before = len(lab.tables.labels(TEST_TABLE))
    failures: list[BaseException] = []

    def send() -> None:
        try:
            lab.sender.send(DIGITS, RATE)
        except BaseException as error:
            failures.append(error)

    stream = threading.Thread(target=send)
    stream.start()
    time.sleep(FIRST_KILL_S)
    killed: dict[str, int] = {}
    for service in ("kafka", "connect", "postgres", "scorer"):
        assert stream.is_alive(), "the stream ended before every part was killed"
        killed[service] = kill(lab, service)
        time.sleep(BETWEEN_KILLS_S)
    assert stream.is_alive()
    assert kernel.provisioner is not None
    os.kill(int(kernel.provisioner.pid), signal.SIGKILL)  # pyright: ignore
    stream.join(timeout=180)
    assert not failures, failures

    # By itself: nothing but waiting happens here.
    lab.wait_until(lambda: all(status.healthy for status in lab.status()), "every part is healthy again", timeout_s=90)
    ledger = lab.ledger(wait_s=90)
    assert ledger.rows == before + DIGITS
    assert ledger.balanced, ledger
    for status in lab.stack.status():
        assert status.pid != killed[status.name]

    # What Jupyter does when a kernel dies, and the cell the user then runs again.
    kernel.restart_kernel(now=True)
    wait = f"import time\nwhile view.state().predictions_seen < {ledger.predictions}: time.sleep(0.1)"
    assert run(kernel, f"{WATCH}\n{wait}", "view.state().score.counted") == str(score_since_reset(lab).counted)
