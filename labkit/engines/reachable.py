"""Whether a cluster is there, before a job is sent to it: Spark and Flink try for long, and then say little."""

import re
import socket

from labkit.engines.catalog import Engine
from labkit.engines.place import Place
from labkit.errors import LabError

WAIT_S = 5.0


def check_reachable(engine: Engine, place: Place) -> None:
    """See that a cluster answers; what is no cluster with one address is not looked at.

    Args:
        engine: Whose cluster.
        place: The cluster's, as `labkit.engines.place.check_place` lets through.

    Raises:
        LabError: Nobody answers there.
    """
    found = re.fullmatch(r"(?:spark://)?([\w.-]+):(\d+)", place.master)
    if found is None:
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=WAIT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise LabError(
            f"no cluster for {engine.title} answers at {place.master}: {error}",
            f"start it, or stay on this machine with local[2]: labkit engine use {engine.name} --master local[2]",
        ) from error
