"""The faults themselves, on real processes, sockets and disks. Each is over when its function returns."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from labkit import Lab
from labkit.stack import health
from tests.chaos import clock
from tests.chaos.plan import Kind, Plan
from tests.chaos.watcher import Watcher

PAUSE_S = 20.0
REFUSED_S = 10.0
FULL_S = 10.0
JUMP_S = 3600.0
JUMPED_S = 5.0
TABLE = "labkit_chaos"
RULES = """
table inet {table} {{
    chain out {{
        type filter hook output priority 0
        oifname "lo" tcp dport {port} reject with tcp reset
    }}
}}
"""


class Faults:
    """Inflicts faults on one lab.

    Args:
        lab: The running lab.
        watcher: The kernel that watches it.
        clock_file: Shifts the clock of scorer and kernel, see `tests.chaos.clock`.
        disks: The small disk of each part that has one.
    """

    def __init__(self, lab: Lab, watcher: Watcher, clock_file: Path, disks: Mapping[str, Path]) -> None:
        self._lab, self._watcher, self._clock, self._disks = lab, watcher, clock_file, disks

    def strike(self, plan: Plan) -> None:
        """Inflict the plan's fault, and end it where it does not end by itself."""
        ways: Mapping[Kind, Callable[[str], None]] = {
            "kill": self._kill,
            "pause": self._pause,
            "restart": self._restart,
            "refuse": self._refuse,
            "fill the disk": self._fill,
            "jump the clock": self._jump,
        }
        service = "server-bytes" if plan.part == "server" else plan.part
        ways[plan.kind](service)

    def _process(self, service: str) -> psutil.Process | None:
        """A part's process; None where it is just being started again."""
        if service == "kernel":
            return self._watcher.process
        pid = next((status.pid for status in self._lab.stack.status() if status.name == service), None)
        return psutil.Process(pid) if pid else None

    def _kill(self, service: str) -> None:
        process = self._process(service)
        if process is not None:
            process.kill()
        if service == "kernel":
            self._watcher.start_again()

    def _pause(self, service: str) -> None:
        process = self._process(service)
        if process is None:
            return
        # PostgreSQL is many processes: its children first, so that none is missed that the parent still makes.
        process.send_signal(signal.SIGSTOP)
        stopped = [*process.children(recursive=True), process]
        for one in stopped:
            one.send_signal(signal.SIGSTOP)
        try:
            time.sleep(PAUSE_S)
        finally:
            for one in stopped:
                if one.is_running():
                    one.send_signal(signal.SIGCONT)

    def _restart(self, service: str) -> None:
        if service == "kernel":
            self._watcher.start_again()
            return
        self._lab.stack.stop_service(service)
        self._lab.stack.start_service(service)

    def _refuse(self, service: str) -> None:
        port = health.address(service, self._lab.endpoints).rpartition(":")[2]
        with refused(port):
            time.sleep(REFUSED_S)

    def _fill(self, service: str) -> None:
        disk = self._disks[service]
        filler = disk / "filler"
        deadline = time.monotonic() + FULL_S
        try:
            with filler.open("wb") as file:
                # Again and again: what the server itself gives back is taken, too.
                while time.monotonic() < deadline:
                    free = shutil.disk_usage(disk).free
                    with suppress(OSError):  # Somebody else has taken it.
                        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size + free)
                    time.sleep(0.1)
        finally:
            filler.unlink(missing_ok=True)

    def _jump(self, service: str) -> None:
        del service  # Both read the same file: they are clients on one machine.
        for seconds in (JUMP_S, -JUMP_S):
            clock.shift(self._clock, seconds)
            time.sleep(JUMPED_S)
        clock.shift(self._clock, 0)


@contextmanager
def refused(port: str) -> Generator[None]:
    """Let this machine refuse connections to a port of its own, and cut those that there are.

    Raises:
        subprocess.CalledProcessError: This account may not, or the system cannot.
    """
    _nft(RULES.format(table=TABLE, port=port))
    try:
        yield
    finally:
        _nft(f"delete table inet {TABLE}")


def _nft(rules: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=rules, check=True, capture_output=True, text=True)


def obstacle(kind: Kind) -> str:
    """Why this machine or this account does not allow a kind of fault; empty where it does."""
    if kind == "fill the disk" and os.geteuid() != 0:
        return "only root may mount a small disk"
    if kind == "jump the clock":
        return "" if clock.works() else "libfaketime does not work here"
    if kind == "refuse":
        try:
            with refused("1"):
                return ""
        except FileNotFoundError:
            return "there is no nft here: apt-get install nftables"
        except subprocess.CalledProcessError as error:
            return f"nft: {error.stderr.strip().splitlines()[0]}"
    return ""
