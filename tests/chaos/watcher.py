"""A notebook kernel with a live view, as an attendee has one."""

import os
import time

import psutil
from jupyter_client.manager import KernelManager

WATCH = "from labkit import Lab; lab = Lab(); view = lab.view"
PATIENCE_S = 120.0


class Watcher:
    """A kernel that reads the stream.

    Args:
        environment: What its environment has beside this process's.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = os.environ | environment
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(env=self._environment)
        self._run(WATCH)

    @property
    def process(self) -> psutil.Process:
        """Its process."""
        assert self._manager.provisioner is not None
        return psutil.Process(int(self._manager.provisioner.pid))  # pyright: ignore

    def start_again(self) -> None:
        """What Jupyter does with a kernel that died, or that somebody restarts; and the cell the user then runs."""
        self._manager.restart_kernel(now=not self._manager.is_alive(), env=self._environment)
        self._run(WATCH)

    def shown(self, predictions: int) -> int:
        """Wait until it has read so many predictions, and return how many rows it counts."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            seen, counted = map(int, self._run("s = view.state()", "(s.predictions_seen, s.score.counted)"))
            if seen == predictions:
                return counted
            assert time.monotonic() < deadline, f"the kernel has read {seen} of {predictions} predictions"
            time.sleep(0.2)

    def close(self) -> None:
        """End it."""
        self._manager.shutdown_kernel(now=True)

    def _run(self, code: str, pair: str = "(0, 0)") -> tuple[str, str]:
        client = self._manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE_S)
            reply = client.execute_interactive(
                code, user_expressions={"value": pair}, timeout=PATIENCE_S, output_hook=lambda _: None
            )
            assert reply["content"]["status"] == "ok", reply["content"]
            value = reply["content"]["user_expressions"]["value"]
            assert value["status"] == "ok", value
            first, second = value["data"]["text/plain"].strip("()").split(",")
            return first, second
        finally:
            client.stop_channels()
