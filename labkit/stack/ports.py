"""Which ports the servers take: the wished one, or the next that is free."""

import socket
from collections.abc import Collection

import psutil

from labkit.errors import LabError
from labkit.settings import Settings, load_endpoints
from labkit.stack.base import Report
from labkit.stack.keeper import CONFIG, supervisor_config

TRIES = 100


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on a port now."""
    with socket.socket() as probe:
        # As servers do, so that a port in TIME_WAIT after a restart counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    # On some systems a bind beside a wildcard listener succeeds: nobody may answer either.
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) != 0


def free_port(wished: int, taken: Collection[int] = ()) -> int:
    """The wished port, or the next free one after it.

    Args:
        wished: Where to start looking.
        taken: Ports already given away.

    Raises:
        LabError: A hundred ports in a row are taken.
    """
    last = min(wished + TRIES - 1, 65535)
    for port in range(wished, last + 1):
        if port not in taken and is_free(port):
            return port
    raise LabError(f"ports {wished} to {last} are all taken", "set another port in labkit.toml")


def choose_port(name: str, wished: int, taken: Collection[int], report: Report) -> int:
    """The wished port or the next free one; says so where it is another.

    Args:
        name: Name of the setting, such as ``kafka_port``.
        wished: Where to start looking.
        taken: Ports already given away.
        report: Told where the wished one is taken.

    Raises:
        LabError: A hundred ports in a row are taken.
    """
    port = free_port(wished, taken)
    if port != wished:
        report(f"{name.replace('_', ' ')} {wished} is taken; using {port}")
    return port


def held_by_other_labs(settings: Settings) -> set[int]:
    """Ports of this user's other labs that are up, whether or not somebody listens there now.

    A server that was killed comes back at its port. A lab that took it meanwhile would get the other lab's clients,
    and its Kafka Connect.
    """
    held: set[int] = set()
    for process in psutil.process_iter(["cmdline"]):
        config = supervisor_config(process.info["cmdline"] or [])
        if config is None or config == settings.home / CONFIG:
            continue
        try:
            held |= load_endpoints(settings.model_copy(update={"home": config.parent})).ports
        except LabError:
            continue  # Somebody else's lab, or one that has not chosen yet and waits for its turn.
    return held
