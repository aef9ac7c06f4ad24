"""The external stack: servers that somebody else runs, such as the containers beside a notebook in a container."""

import shutil

from labkit.errors import LabError
from labkit.settings import Endpoints, Settings, StackName, endpoints_file, load_endpoints, write_endpoints
from labkit.stack import health
from labkit.stack.base import Report, ServiceStatus
from labkit.stack.home import one_at_a_time, prepare_home
from labkit.stack.keeper import Keeper, scorer_programs


class ExternalStack:
    """PostgreSQL, Kafka and Kafka Connect where the settings say that they are; the scorer is a process here."""

    name: StackName = "external"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._keeper = Keeper(settings)

    def check(self) -> None:
        """See that the settings tell the passwords.

        Raises:
            LabError: They do not.
        """
        for name in ("admin_password", "capture_password"):
            if not getattr(self.settings, name):
                raise LabError(
                    f"the servers are run by somebody else, and {name} is not set",
                    f"set LABKIT_{name.upper()} to what they were started with",
                )

    def up(self, report: Report = print) -> Endpoints:
        """Wait until the servers answer, and get ready to score.

        Returns:
            Where the servers answer.

        Raises:
            LabError: One of them does not answer.
        """
        self.check()
        prepare_home(self.settings)
        with one_at_a_time(self.settings, report):
            endpoints = self._endpoints()
            health.wait(endpoints, self.settings.start_timeout_s, self.log, report)
            write_endpoints(self.settings, endpoints)
            if not self._keeper.running:
                self._keeper.stop_orphans()
                self._keeper.start(scorer_programs(self.settings))
            return endpoints

    def down(self, *, keep_data: bool = False, report: Report = print) -> None:
        """Stop the scorer; remove models and logs, too, unless told to keep the data. The servers are not touched."""
        if not self.settings.home.is_dir():
            self._keeper.stop(report)
            return
        with one_at_a_time(self.settings, report):
            self._keeper.stop(lambda _: None)
            endpoints_file(self.settings).unlink(missing_ok=True)
            report("the servers are left as they are: somebody else runs them")
            if not keep_data:
                shutil.rmtree(self.settings.home, ignore_errors=True)

    def status(self) -> list[ServiceStatus]:
        """How each server answers; an empty list before `up`."""
        if not endpoints_file(self.settings).is_file():
            return []
        endpoints = load_endpoints(self.settings)
        servers = [
            health.look_at(ServiceStatus(name=name, state="running", healthy=True), endpoints)
            for name in health.checks(endpoints)
        ]
        return servers + (self._keeper.status() if self._keeper.running else [])

    def overhead_mib(self) -> float:
        """Resident memory of the scorer's supervisor, MiB."""
        return self._keeper.overhead_mib()

    def start_service(self, name: str) -> None:
        """Start the scorer, unless it runs."""
        self._refuse_servers(name)
        self._keeper.start_program(name)

    def stop_service(self, name: str) -> None:
        """Stop the scorer, unless it is stopped."""
        self._refuse_servers(name)
        self._keeper.stop_program(name)

    def is_running(self, name: str) -> bool:
        """Whether one service runs, or is just being started."""
        if endpoints_file(self.settings).is_file():
            check = health.checks(load_endpoints(self.settings)).get(name)
            if check is not None:
                return not check()
        return self._keeper.runs_program(name)

    def log(self, name: str, lines: int = 40) -> str:
        """The last lines of the scorer's log; a server's is where it runs."""
        return self._keeper.log(name, lines)

    def _refuse_servers(self, name: str) -> None:
        if name in health.checks(self._endpoints()):
            raise LabError(f"{name} is run by somebody else", "start or stop it where it runs")

    def _endpoints(self) -> Endpoints:
        found = self.settings
        return Endpoints(
            stack=self.name,
            postgres_host=found.postgres_host,
            postgres_port=found.postgres_port,
            kafka_host=found.kafka_host,
            kafka_port=found.kafka_port,
            connect_host=found.connect_host,
            connect_port=found.connect_port,
            source_host=found.source_host or found.postgres_host,
            source_port=found.source_port or found.postgres_port,
            admin_password=found.admin_password,
            capture_password=found.capture_password,
        )
