"""A Flink session cluster by its REST interface: whether it answers, and what a killed starter left running there.

Source: https://nightlies.apache.org/flink/flink-docs-release-1.20/docs/ops/rest_api/
"""

import json
import logging
import time
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from labkit.errors import LabError

log = logging.getLogger("labkit.engines.flink")

ENDED = {"FINISHED", "CANCELED", "FAILED"}
WAIT_S = 10.0


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
    while running := [job for job in _ask(master, "/jobs/overview")["jobs"] if job["name"] == name and not _over(job)]:
        if time.monotonic() > deadline:
            raise LabError(f"an earlier job does not end on Flink's cluster: {running[0]['jid']}", "cancel it there")
        for job in running:
            if job["jid"] not in told:
                log.warning("cancelling the job that a killed starter left on the cluster: %s", job["jid"])
                _ask(master, f"/jobs/{job['jid']}?mode=cancel", "PATCH")
                told.add(job["jid"])
        time.sleep(0.2)


def _over(job: dict[str, str]) -> bool:
    return job["state"] in ENDED


def _ask(master: str, path: str, method: str = "GET") -> Any:
    try:
        with urlopen(Request(f"http://{master}{path}", method=method), timeout=WAIT_S) as answer:
            return json.load(answer)
    except (OSError, HTTPException, ValueError) as error:
        raise LabError(
            f"what answers at {master} is no Flink session cluster: {error}",
            "see what listens there; `make cluster ENGINE=flink` starts one",
        ) from error
