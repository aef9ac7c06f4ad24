"""The embedded stack: real servers as plain processes of this user, kept by supervisor, without Docker and root.

supervisor outlives the notebook's kernel and starts again what died, so a killed server comes back by itself.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from filelock import FileLock, Timeout
from supervisor.xmlrpc import SupervisorTransport

from labkit.capture.java_plugins import build_plugins
from labkit.errors import LabError
from labkit.settings import Endpoints, Settings, endpoints_file, load_endpoints
from labkit.stack import health, kafka, postgres
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.base import Report, ServiceStatus
from labkit.stack.home import prepare_home
from labkit.stack.ports import free_port

SERVERS = ("postgres", "kafka", "connect")
"""Started together. The scorer starts once there are events for it."""

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


class EmbeddedStack:
    """PostgreSQL, Kafka, Kafka Connect and the scorer on this machine, bound to loopback."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._config = settings.home / "supervisord.conf"
        self._logs = settings.home / "logs"
        # A socket's path may have 107 bytes at most, which a deep clone would exceed.
        digest = hashlib.sha256(str(settings.home.resolve()).encode()).hexdigest()[:10]
        self._socket = Path(tempfile.gettempdir()) / f"labkit-{os.getuid()}-{digest}.sock"

    def up(self, report: Report = print) -> Endpoints:
        """Start what does not run yet and wait until all of it answers.

        Returns:
            Where the servers answer.

        Raises:
            LabError: The disk is nearly full, a folder cannot be written, a download failed, or a server did not start.
        """
        prepare_home(self.settings)
        with self._alone(report):
            if not self._is_running():
                self._stop_orphans()
                return self._start(report)
            endpoints = load_endpoints(self.settings)
            self._start_stopped()
            self._wait(endpoints, report)
            return endpoints

    def down(self, *, keep_data: bool = False, report: Report = print) -> None:
        """Stop every process of this lab; remove its folder too, unless told to keep the data."""
        if not self.settings.home.is_dir():
            self._stop(report)  # The folder was deleted by hand, or there is no lab.
            return
        with self._alone(report):
            self._stop(report)
            if not keep_data:
                postgres.remove(postgres.place(self.settings))
                shutil.rmtree(self.settings.home, ignore_errors=True)

    def status(self) -> list[ServiceStatus]:
        """How each server is; an empty list where nothing runs."""
        if not self._is_running():
            return []
        endpoints = load_endpoints(self.settings)
        checks = health.checks(endpoints)
        found: list[ServiceStatus] = []
        for info in self._supervisor().getAllProcessInfo():
            name, state, pid = str(info["name"]), STATES[info["statename"]], int(info["pid"])
            problem = checks[name]() if state == "running" and name in checks else ""
            found.append(
                ServiceStatus(
                    name=name,
                    state=state,
                    healthy=state == "running" and not problem,
                    address=health.address(name, endpoints),
                    pid=pid or None,
                    rss_mib=memory_mib(pid) if pid else 0.0,
                    uptime_s=float(info["now"] - info["start"]) if pid else 0.0,
                    note=problem or str(info["spawnerr"]),
                )
            )
        order = [*SERVERS, "scorer"]
        return sorted(found, key=lambda status: order.index(status.name))

    def overhead_mib(self) -> float:
        """Resident memory of supervisor itself, MiB."""
        return psutil.Process(self._supervisor().getPID()).memory_info().rss / 2**20

    def start_service(self, name: str) -> None:
        """Start one service, unless it runs."""
        try:
            self._supervisor().startProcess(name, False)
        except Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise LabError(f"{name} could not be started: {fault.faultString}", f"labkit logs {name}") from fault

    def stop_service(self, name: str) -> None:
        """Stop one service, unless it is stopped."""
        try:
            self._supervisor().stopProcess(name)
        except Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise LabError(f"{name} could not be stopped: {fault.faultString}", "labkit status") from fault

    def is_running(self, name: str) -> bool:
        """Whether one service runs, or is just being started."""
        try:
            return self._supervisor().getProcessInfo(name)["statename"] in ("STARTING", "RUNNING", "BACKOFF")
        except (OSError, Fault):
            return False  # Supervisor itself is away.

    def log(self, name: str, lines: int = 40) -> str:
        """The last lines of a service's log."""
        path = self._logs / f"{name}.log"
        if not path.is_file():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    @contextmanager
    def _alone(self, report: Report) -> Generator[None]:
        """Do one thing at a time to a lab: a start that comes while it stops waits, and so the other way round."""
        lock = FileLock(self.settings.home / "up.lock")
        waiting = False
        while not lock.is_locked:
            try:
                lock.acquire(timeout=-1 if waiting else 0)
            except Timeout:
                report("another start or stop of this lab is under way; waiting for it")
                waiting = True
            except FileNotFoundError:  # The stop that was waited for has removed the folder.
                prepare_home(self.settings)
        try:
            yield
        finally:
            lock.release()

    def _stop(self, report: Report) -> None:
        if self._is_running():
            report("stopping the servers")
            pid = self._supervisor().getPID()
            self._supervisor().shutdown()
            _wait_gone(pid, timeout_s=60)
        self._stop_orphans()
        endpoints_file(self.settings).unlink(missing_ok=True)
        self._socket.unlink(missing_ok=True)

    def _start(self, report: Report) -> Endpoints:
        classpath, plugins = self._prepare_jars(report)
        # A port that is free is taken only once its server listens: another lab of this user must not choose meanwhile.
        with FileLock(self.settings.cache_dir / "ports.lock"):
            endpoints = self._start_servers(classpath, plugins, report)
            self._wait(endpoints, report)
        return endpoints

    def _prepare_jars(self, report: Report) -> tuple[list[Path], list[Path]]:
        """Fetch, unpack and compile what is missing; return Kafka's jars, and the folders of Connect's plugins."""
        cache = ArtifactCache(self.settings.cache_dir, mirror=self.settings.mirror)
        cache.fetch(report=report)
        classpath = cache.paths("kafka")
        (ecj,) = cache.paths("ecj")
        with FileLock(cache.folder / "fetch.lock"):
            debezium = cache.unpack_plugin()
            own = cache.folder / "plugins" / "labkit"
            build_plugins(classpath, ecj, kafka.JAVA, own / "labkit-plugins.jar")
        return classpath, [debezium, own]

    def _start_servers(self, classpath: list[Path], plugins: list[Path], report: Report) -> Endpoints:
        where = postgres.place(self.settings)
        endpoints = self._choose_endpoints(report)
        kafka.write_config(self.settings, endpoints, plugins)
        report("servers: preparing the database cluster and Kafka's storage")
        with ThreadPoolExecutor(2) as pool:
            cluster = pool.submit(postgres.prepare, where, endpoints.admin_password)
            storage = pool.submit(kafka.format_storage, self.settings, classpath)
            cluster.result()
            storage.result()
        postgres.configure(where, endpoints, self.settings)
        self._write_supervisor_config(where, kafka.commands(self.settings, classpath))
        self._write_endpoints(endpoints)
        result = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)],
            capture_output=True,
            text=True,
            cwd="/",
        )
        if result.returncode != 0:
            raise LabError(f"supervisor did not start: {(result.stderr or result.stdout).strip()}", "labkit doctor")
        return endpoints

    def _choose_endpoints(self, report: Report) -> Endpoints:
        try:
            old = load_endpoints(self.settings)
        except LabError:
            old = None
        chosen: dict[str, int] = {}
        for field in ("postgres_port", "kafka_port", "kafka_controller_port", "connect_port"):
            wished = int(getattr(self.settings, field))
            port = free_port(wished, chosen.values())
            if port != wished:
                report(f"{field.replace('_', ' ')} {wished} is taken; using {port}")
            chosen[field] = port
        return Endpoints(
            postgres_port=chosen["postgres_port"],
            kafka_port=chosen["kafka_port"],
            kafka_controller_port=chosen["kafka_controller_port"],
            connect_port=chosen["connect_port"],
            admin_password=old.admin_password if old else self._kept_password("admin"),
            capture_password=old.capture_password if old else self._kept_password("capture"),
        )

    def _kept_password(self, name: str) -> str:
        """A random password, kept beside the data that know it."""
        path = self.settings.home / f"{name}.password"
        if not path.is_file():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(16))
        return path.read_text()

    def _write_endpoints(self, endpoints: Endpoints) -> None:
        path = endpoints_file(self.settings)
        path.touch(mode=0o600)
        path.write_text(endpoints.model_dump_json(indent=2))

    def _write_supervisor_config(self, where: postgres.PostgresPlace, java: Any) -> None:
        config = RawConfigParser()
        config["unix_http_server"] = {"file": str(self._socket), "chmod": "0700"}
        config["supervisord"] = {
            "pidfile": str(self.settings.home / "supervisord.pid"),
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
        postgres_command = [str(where.programs / "postgres"), "-D", str(where.data)]
        # SIGINT is PostgreSQL's fast shutdown; the default SIGTERM would wait for every client to leave.
        self._add_program(config, "postgres", postgres_command, 1, stopsignal="INT")
        if where.user is not None:
            config["program:postgres"]["user"] = where.user
        self._add_program(config, "kafka", java["kafka"], 2)
        self._add_program(config, "connect", java["connect"], 3)
        scorer = [sys.executable, "-m", "labkit", "score"]
        self._add_program(config, "scorer", scorer, 4, autostart="false")
        config["program:scorer"]["environment"] = ",".join(
            f'LABKIT_{name.upper()}="{_escape(str(getattr(self.settings, name)))}"' for name in ("home", "cache_dir")
        )
        with self._config.open("w") as file:
            config.write(file)

    def _add_program(self, config: RawConfigParser, name: str, command: list[str], order: int, **extra: str) -> None:
        config[f"program:{name}"] = {
            "command": " ".join(_quote(part) for part in command),
            "priority": str(order),
            "autostart": "true",
            "autorestart": "true",
            "startsecs": "1",
            # Connect gives up while its broker is away: let it try for as long as the lab is up.
            "startretries": "1000000",
            "stopwaitsecs": "20",
            "stdout_logfile": _escape(str(self._logs / f"{name}.log")),
            "stdout_logfile_maxbytes": LOG_SIZE,
            "stdout_logfile_backups": "1",
            "redirect_stderr": "true",
        } | extra

    def _supervisor(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _is_running(self) -> bool:
        try:
            return bool(self._supervisor().getState()["statename"] == "RUNNING")
        except (OSError, Fault):
            return False

    def _start_stopped(self) -> None:
        for info in self._supervisor().getAllProcessInfo():
            if info["name"] in SERVERS and STATES[info["statename"]] in ("stopped", "failed"):
                self.start_service(info["name"])

    def _wait(self, endpoints: Endpoints, report: Report) -> None:
        """Wait until every server answers; say which one is being waited for."""
        deadline = time.monotonic() + self.settings.start_timeout_s
        waiting: dict[str, Callable[[], str]] = dict(health.checks(endpoints))
        started = time.monotonic()
        report(f"servers: waiting for {', '.join(waiting)}")
        while waiting:
            problems = {name: check() for name, check in waiting.items()}
            for name, problem in problems.items():
                if not problem:
                    report(
                        f"servers: {name} answers at {health.address(name, endpoints)} "
                        f"({time.monotonic() - started:.1f} s)"
                    )
                    del waiting[name]
            if waiting and time.monotonic() > deadline:
                name = next(iter(waiting))
                last = self.log(name, 1)
                raise LabError(
                    f"{name} does not answer after {self.settings.start_timeout_s} s: {problems[name]} {last}",
                    f"labkit logs {name}",
                )
            time.sleep(0.1)

    def _stop_orphans(self) -> None:
        """End what is left of this lab, by its own pids, found by the lab's folder.

        Servers whose supervisor was killed, and a supervisor whose socket somebody has deleted.
        """
        where = postgres.place(self.settings)
        marks = (str(self._config), str(self.settings.home / "kafka"), str(where.data))
        orphans: list[psutil.Process] = []
        for process in psutil.process_iter(["cmdline"]):
            arguments = process.info["cmdline"] or []
            server = any(a == m or a.startswith(f"{m}/") for a in arguments for m in marks)
            if (server or self._is_scorer(process, arguments)) and process.pid != os.getpid():
                orphans.append(process)
        for process in orphans:
            process.terminate()
        for process in psutil.wait_procs(orphans, timeout=20)[1]:
            process.kill()

    def _is_scorer(self, process: psutil.Process, arguments: list[str]) -> bool:
        # Only its environment says whose it is; that of another user's process cannot be read, and is not ours.
        if arguments[-3:] != ["-m", "labkit", "score"]:
            return False
        try:
            return process.environ().get("LABKIT_HOME") == str(self.settings.home)
        except psutil.Error:
            return False


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
