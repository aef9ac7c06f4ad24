"""How each part of a lab is: its processes as the stack keeps them, and what only PostgreSQL and the jobs can tell."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from labkit.capture.configs import load_config
from labkit.capturing import Capturing
from labkit.database import DigitTables
from labkit.engines.catalog import LOCAL
from labkit.engines.choice import chosen_engine
from labkit.engines.options import CDC_SLOT
from labkit.engines.progress import job_folder, read_progress
from labkit.engines.side_job import running_side_jobs, side_log
from labkit.errors import LabError
from labkit.settings import CDC_SCORER, SCORER, Settings, load_endpoints
from labkit.slots import lost_slots, remedy
from labkit.stack import debezium_server
from labkit.stack.base import ServiceStatus, Stack
from labkit.stack.keeper import memory_mib


@dataclass(frozen=True, slots=True)
class _Database:
    """What PostgreSQL tells of the capture.

    Attributes:
        problem: Why changes of a table could not be captured, or why it does not answer; empty where all is well.
        lost_slots: What is wrong with routes whose replication slot is lost, by route.
        cdc_waiting: Bytes of its log that Flink's own Debezium has not read yet; None where that has no slot.
    """

    problem: str = ""
    lost_slots: Mapping[str, str] = field(default_factory=dict[str, str])
    cdc_waiting: int | None = None


def look_at_lab(
    stack: Stack, capturing: Callable[[], Capturing], tables: Callable[[], DigitTables], settings: Settings
) -> list[ServiceStatus]:
    """How each server, each connector and each job is; an empty list where nothing runs.

    Args:
        stack: Keeps the servers.
        capturing: Gives what runs Debezium, once Connect is seen to answer or there is none.
        tables: Gives the digit tables, once PostgreSQL is seen to answer.
        settings: The lab's.
    """
    services = stack.status()
    if not services:
        return []
    if all(service.healthy for service in services if service.name == "connect"):
        services += capturing().status()
    answers = any(service.name == "postgres" and service.healthy for service in services)
    database = _ask(tables(), settings) if answers else _Database()
    services = [_with_tables(_with_progress(service, database, settings), database) for service in services]
    return _with_slots(services, database, settings) + _side_jobs(settings)


def _ask(tables: DigitTables, settings: Settings) -> _Database:
    try:
        return _Database(tables.problem(), lost_slots(tables, settings), tables.slot_lag(CDC_SLOT))
    except LabError as error:  # It has gone away just now.
        return _Database(error.problem)


def _with_tables(service: ServiceStatus, database: _Database) -> ServiceStatus:
    """PostgreSQL with a table missing is not well, though it answers."""
    if service.name != "postgres" or not service.healthy or not database.problem:
        return service
    return replace(service, healthy=False, note=database.problem)


def _with_progress(service: ServiceStatus, database: _Database, settings: Settings) -> ServiceStatus:
    """A scorer's status, with how the engine is that scores."""
    name = {SCORER: chosen_engine(settings).engine, CDC_SCORER: "flink-cdc"}.get(service.name, LOCAL)
    if name == LOCAL or service.state != "running":
        return service
    progress = read_progress(job_folder(settings, name))
    if progress is None:
        return replace(service, note=f"{name}: starting")
    waiting = ""
    if service.name == CDC_SCORER and database.cdc_waiting is not None:
        waiting = f"lag {database.cdc_waiting / 2**20:.1f} MiB of log, "
    return replace(service, note=f"{name}: {waiting}{progress.words}")


def _with_slots(services: Sequence[ServiceStatus], database: _Database, settings: Settings) -> list[ServiceStatus]:
    """What captures by a slot that is lost is not well, though Debezium may wait without a word."""
    problems: dict[str, str] = {}
    for route, words in database.lost_slots.items():
        note = f"{words}: changes since are not captured → {remedy(route)}"
        connector = load_config(route, load_endpoints(settings), settings)
        problems |= {connector.name: note, debezium_server.service(route): note}
    return [
        replace(service, healthy=False, note=problems[service.name]) if service.name in problems else service
        for service in services
    ]


def _side_jobs(settings: Settings) -> list[ServiceStatus]:
    """Jobs that a notebook runs beside the scoring one."""
    found: list[ServiceStatus] = []
    for name, process in running_side_jobs(settings).items():
        if process is None:
            note = f"it has ended, and {side_log(settings, name)} says why"
            found.append(ServiceStatus(name, "failed", healthy=False, note=note))
            continue
        progress = read_progress(job_folder(settings, name))
        found.append(
            ServiceStatus(
                name,
                "starting" if progress is None else "running",
                healthy=True,
                pid=process.pid,
                rss_mib=memory_mib(process.pid),
                uptime_s=time.time() - process.create_time(),
                note="" if progress is None else progress.words,
            )
        )
    return found
