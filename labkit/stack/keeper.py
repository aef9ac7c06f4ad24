"""supervisor, the keeper of processes: it outlives the notebook's kernel and starts again what died."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from configparser import RawConfigParser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from labkit.errors import LabError
from labkit.settings import CDC_SCORER, SCORER, Settings
from labkit.stack.base import ServiceStatus

# supervisor's process states, in the words of ServiceStatus (https://supervisord.org/subprocess.html#process-states).
STATES = {
    "RUNNING": "running",
    "STARTING": "starting",
    "BACKOFF": "starting",
    "STOPPING": "stopped",
    "STOPPED": "stopped",
    "EXITED": "failed",
    "FATAL": "failed",
    "UNKNOWN": "failed",
}
LOG_SIZE = "4MB"
STOP_TIMEOUT_S = 60.0
ORPHANS_END_S = 20.0
"""Then they are killed."""
CONFIG = "supervisord.conf"
"""In a lab's folder."""
SUPERVISOR_ARGUMENTS = ["-m", "supervisor.supervisord", "-c"]
SCORER_ARGUMENTS = ["-m", "labkit", "score"]


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep.

    Attributes:
        name: What it is called in commands and logs.
        command: Its command line.
        autostart: Whether it starts with supervisor.
        user: Account to run as, None for the present one.
        stop_signal: Name of the signal that ends it, without SIG.
        environment: What its environment has beside that of supervisor.
    """

    name: str
    command: Sequence[str]
    autostart: bool = True
    user: str | None = None
    stop_signal: str = "TERM"
    environment: Sequence[tuple[str, str]] = ()


def scorer_environment(settings: Settings) -> tuple[tuple[str, str], ...]:
    """What tells a scorer whose it is."""
    return tuple((f"LABKIT_{name.upper()}", str(getattr(settings, name))) for name in ("home", "cache_dir"))


def scorer_programs(settings: Settings) -> list[Program]:
    """What scores; each starts once it is asked for."""
    own = scorer_environment(settings)
    scorer = [sys.executable, *SCORER_ARGUMENTS]
    return [
        Program(SCORER, scorer, autostart=False, environment=own),
        Program(CDC_SCORER, [*scorer, "--engine", "flink-cdc"], autostart=False, environment=own),
    ]


class Keeper:
    """The supervisor of one lab.

    Args:
        settings: The lab's; its folder holds the configuration and the logs.
    """

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self.config = settings.home / CONFIG
        self._logs = settings.home / "logs"
        # A socket's path may have 107 bytes at most, which a deep clone would exceed.
        digest = hashlib.sha256(str(settings.home.resolve()).encode()).hexdigest()[:10]
        self._socket = Path(tempfile.gettempdir()) / f"labkit-{os.getuid()}-{digest}.sock"

    def start(self, programs: Sequence[Program]) -> None:
        """Start supervisor with these programs, in this order.

        Raises:
            LabError: supervisor did not start.
        """
        self._write_config(programs)
        result = subprocess.run(
            [sys.executable, *SUPERVISOR_ARGUMENTS, str(self.config)],
            capture_output=True,
            text=True,
            cwd="/",
        )
        if result.returncode != 0:
            raise LabError(f"supervisor did not start: {(result.stderr or result.stdout).strip()}", "labkit doctor")

    def stop(self, report: Callable[[str], None], *, marks: Collection[str] = ()) -> None:
        """Stop supervisor and all that it keeps, and what an earlier one left behind.

        Args:
            report: Told of progress.
            marks: Files or folders of this lab alone: whoever has one in its command line is the lab's process.

        Raises:
            LabError: It does not stop.
        """
        if self.running:
            report("stopping the servers")
            pid = self._supervisor().getPID()
            self._supervisor().shutdown()
            _wait_gone(pid, STOP_TIMEOUT_S)
        self.stop_orphans(marks)
        self._socket.unlink(missing_ok=True)

    def stop_orphans(self, marks: Collection[str] = ()) -> None:
        """End what is left of this lab, by its own pids.

        Servers whose supervisor was killed, and a supervisor whose socket somebody has deleted.
        """
        all_marks = (str(self.config), *marks)
        orphans: list[psutil.Process] = []
        for process in psutil.process_iter(["cmdline"]):
            arguments = process.info["cmdline"] or []
            # A path may stand behind an option's name, as in the command that makes Kafka's storage.
            paths = [*arguments, *(argument.partition("=")[2] for argument in arguments)]
            server = any(p == m or p.startswith(f"{m}/") for p in paths for m in all_marks)
            if (server or self._is_scorer(process, arguments)) and process.pid != os.getpid():
                orphans.append(process)
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in orphans:
                with suppress(psutil.NoSuchProcess):
                    end(process)
            orphans = psutil.wait_procs(orphans, timeout=ORPHANS_END_S)[1]

    @property
    def running(self) -> bool:
        """Whether supervisor answers."""
        try:
            return bool(self._supervisor().getState()["statename"] == "RUNNING")
        except (OSError, Fault):
            return False

    def status(self) -> list[ServiceStatus]:
        """How each kept process is, as supervisor knows it: healthy means that it runs."""
        found = [_status(info) for info in self._supervisor().getAllProcessInfo()]
        # Few use this one: it is told of once it runs.
        return [status for status in found if status.name != CDC_SCORER or status.state != "stopped"]

    def overhead_mib(self) -> float:
        """Resident memory of supervisor itself, MiB."""
        return psutil.Process(self._supervisor().getPID()).memory_info().rss / 2**20

    def start_program(self, name: str) -> None:
        """Start one program, unless it runs.

        Raises:
            LabError: It could not be started.
        """
        try:
            self._supervisor().startProcess(name, False)
        except Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise LabError(f"{name} could not be started: {fault.faultString}", f"labkit logs {name}") from fault

    def stop_program(self, name: str) -> None:
        """Stop one program, unless it is stopped.

        Raises:
            LabError: It could not be stopped.
        """
        try:
            self._supervisor().stopProcess(name)
        except Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise LabError(f"{name} could not be stopped: {fault.faultString}", "labkit status") from fault

    def runs_program(self, name: str) -> bool:
        """Whether one program runs, or is just being started."""
        try:
            return self._supervisor().getProcessInfo(name)["statename"] in ("STARTING", "RUNNING", "BACKOFF")
        except (OSError, Fault):
            return False  # Supervisor itself is away.

    def log(self, name: str, lines: int = 40) -> str:
        """The last lines of a program's log."""
        path = self._logs / f"{name}.log"
        if not path.is_file():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def _supervisor(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _is_scorer(self, process: psutil.Process, arguments: list[str]) -> bool:
        # Only its environment says whose it is; that of another user's process cannot be read, and is not ours.
        if arguments[1 : 1 + len(SCORER_ARGUMENTS)] != SCORER_ARGUMENTS:
            return False
        try:
            return process.environ().get("LABKIT_HOME") == str(self._home)
        except psutil.Error:
            return False

    def _write_config(self, programs: Sequence[Program]) -> None:
        config = RawConfigParser()
        config["unix_http_server"] = {"file": str(self._socket), "chmod": "0700"}
        config["supervisord"] = {
            "pidfile": str(self._home / "supervisord.pid"),
            "logfile": str(self._logs / "supervisord.log"),
            "logfile_maxbytes": "1MB",
            "logfile_backups": "1",
            "childlogdir": str(self._logs),
            "directory": "/",
        }
        if os.geteuid() == 0:
            config["supervisord"]["user"] = "root"
        config["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        for order, program in enumerate(programs, start=1):
            config[f"program:{program.name}"] = self._section(program, order)
        with self.config.open("w") as file:
            config.write(file)

    def _section(self, program: Program, order: int) -> dict[str, str]:
        section = {
            "command": " ".join(_quote(part) for part in program.command),
            "priority": str(order),
            "autostart": str(program.autostart).lower(),
            "autorestart": "true",
            "startsecs": "1",
            # Connect gives up while its broker is away: let it try for as long as the lab is up.
            "startretries": "1000000",
            "stopwaitsecs": "20",
            "stopsignal": program.stop_signal,
            "stdout_logfile": _escape(str(self._logs / f"{program.name}.log")),
            "stdout_logfile_maxbytes": LOG_SIZE,
            "stdout_logfile_backups": "1",
            "redirect_stderr": "true",
        }
        if program.user is not None:
            section["user"] = program.user
        if program.environment:
            section["environment"] = ",".join(f"{name}={_quote(value)}" for name, value in program.environment)
        return section


def supervisor_config(command: Sequence[str]) -> Path | None:
    """The configuration of a lab's supervisor, by its command line; None where that is another program's."""
    return Path(command[-1]) if list(command[1:-1]) == SUPERVISOR_ARGUMENTS else None


def memory_mib(pid: int) -> float:
    """Resident memory of a process and its children, MiB.

    Where the system tells it, memory that processes share is split between them (proportional set size): PostgreSQL's
    processes all map the same buffers, and plain sums would count those many times.
    """
    try:
        parent = psutil.Process(pid)
        total = 0
        for process in [parent, *parent.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except (psutil.AccessDenied, AttributeError):
                total += process.memory_info().rss
        return total / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def _status(info: Any) -> ServiceStatus:
    state, pid = STATES[info["statename"]], int(info["pid"])
    return ServiceStatus(
        name=str(info["name"]),
        state=state,
        healthy=state == "running",
        pid=pid or None,
        rss_mib=memory_mib(pid) if pid else 0.0,
        uptime_s=float(info["now"] - info["start"]) if pid else 0.0,
        note=str(info["spawnerr"]),
    )


def _quote(part: str) -> str:
    return '"' + _escape(part) + '"'


def _escape(text: str) -> str:
    # supervisor expands %(name)s in its configuration.
    return text.replace("%", "%%")


def _wait_gone(pid: int, timeout_s: float) -> None:
    try:
        psutil.Process(pid).wait(timeout=timeout_s)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        raise LabError(f"supervisor (process {pid}) did not stop within {timeout_s:.0f} s", "labkit down") from None
