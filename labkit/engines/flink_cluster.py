"""A Flink session cluster by its REST interface: whether it answers, and what a killed starter left running there.

Source: https://nightlies.apache.org/flink/flink-docs-release-1.20/docs/ops/rest_api/
"""

import json
import logging
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from labkit.errors import LabError

log = logging.getLogger("labkit.engines.flink")

ENDED = {"FINISHED", "CANCELED", "FAILED"}
WAIT_S = 10.0
DIRECT = build_opener(ProxyHandler({}))
"""Past any proxy: it would look for the cluster on a machine of its own."""


def cancel_left_over(master: str, name: str) -> None:
    """Cancel the jobs of a name: on a cluster they outlive a starter that was killed, and two at once would repeat.

    Args:
        master: ``host:port`` of the cluster's REST interface.
        name: As jobs of the lab and engine are called there.

    Raises:
        LabError: Who answers there is no Flink, or a job does not end.
    """
    deadline = time.monotonic() + WAIT_S
    told: set[str] = set()
    while running := [job for job in _jobs(master) if job["name"] == name and job["state"] not in ENDED]:
        if time.monotonic() > deadline:
            raise LabError(f"an earlier job does not end on Flink's cluster: {running[0]['jid']}", "cancel it there")
        for job in running:
            if job["jid"] not in told:
                log.warning("cancelling the job that a killed starter left on the cluster: %s", job["jid"])
                _cancel(master, job["jid"])
                told.add(job["jid"])
        time.sleep(0.2)


def free_slots(master: str, wanted: int = 1) -> int:
    """Task slots of a cluster that no job holds. A job that wants more of them would wait for minutes and then fail.

    Args:
        master: ``host:port`` of the cluster's REST interface.
        wanted: So many are waited for, some seconds: a job that has just ended lets go of its own by and by.

    Returns:
        How many there are: at least one, and fewer than wanted where others hold them.

    Raises:
        LabError: Who answers there is no Flink, or all slots are taken.
    """
    deadline = time.monotonic() + WAIT_S
    while (free := int(_ask(master, "overview", "slots-available"))) < wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    if not free:
        raise LabError(
            f"all {_ask(master, 'overview', 'slots-total')} task slots of Flink's cluster at {master} are taken",
            "end a job there, or start another task manager",
        )
    return free


def job_name(folder: Path) -> str:
    """What Flink calls a job: on a cluster it tells whose it is.

    Args:
        folder: The job's, of one lab.
    """
    return f"labkit {folder}"


def _jobs(master: str) -> list[dict[str, str]]:
    return _ask(master, "jobs/overview", "jobs")


def _ask(master: str, path: str, field: str) -> Any:
    """A field of what the REST interface answers."""
    try:
        with DIRECT.open(f"http://{master}/{path}", timeout=WAIT_S) as answer:
            return json.load(answer)[field]
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise LabError(
            f"what answers at {master} is no Flink session cluster: {error}",
            "see what listens there; `make cluster ENGINE=flink` starts one",
        ) from error


def _cancel(master: str, job: str) -> None:
    request = Request(f"http://{master}/jobs/{job}?mode=cancel", method="PATCH")
    with suppress(HTTPError):  # It has ended in the meantime; if not, it is seen again.
        DIRECT.open(request, timeout=WAIT_S).close()
