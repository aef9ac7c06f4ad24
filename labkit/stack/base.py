"""What every way of running the servers offers: one small protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from labkit.settings import CDC_SCORER, HTTP_SCORER, SCORER, Endpoints, StackName

Report = Callable[[str], None]
"""Told of progress, one short line at a time."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """How one server is.

    Attributes:
        name: ``postgres``, ``kafka``, ``connect``, ``scorer``, or one of `debezium_server.names`.
        state: ``running``, ``starting``, ``stopped`` or ``failed``.
        healthy: Whether it answers, and nothing it needs is missing.
        address: Where it answers; empty where it does not listen.
        pid: Process id, None if it does not run.
        rss_mib: Resident memory of it and its children, MiB.
        uptime_s: Seconds since its start.
        note: What is being waited for, or what went wrong.
    """

    name: str
    state: str
    healthy: bool
    address: str = ""
    pid: int | None = None
    rss_mib: float = 0.0
    uptime_s: float = 0.0
    note: str = ""

    @property
    def on_demand(self) -> bool:
        """Whether it starts not with the lab but once it is needed: stopped is no fault then."""
        return self.name in (SCORER, HTTP_SCORER, CDC_SCORER) or self.name.startswith("server-")


class Stack(Protocol):
    """A set of servers that can be started, looked at and stopped.

    Attributes:
        name: What `Settings.stack` calls it.
    """

    name: StackName

    def check(self) -> None:
        """See that this machine can run it at all. Raises LabError where it cannot."""
        ...

    def up(self, report: Report = print) -> Endpoints:
        """Start what does not run yet and wait until all of it answers."""
        ...

    def down(self, *, keep_data: bool = False, report: Report = print) -> None:
        """Stop everything; remove the data too, unless told to keep them."""
        ...

    def status(self) -> list[ServiceStatus]:
        """How each server is; an empty list where nothing runs."""
        ...

    def overhead_mib(self) -> float:
        """Resident memory of what keeps the servers, MiB."""
        ...

    def start_service(self, name: str) -> None:
        """Start one service that does not start with the others, such as the scorer."""
        ...

    def stop_service(self, name: str) -> None:
        """Stop one service."""
        ...

    def is_running(self, name: str) -> bool:
        """Whether one service runs, or is just being started."""
        ...

    def log(self, name: str, lines: int = 40) -> str:
        """The last lines of a service's log."""
        ...
