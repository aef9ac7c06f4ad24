"""Why a Flink job has ended: a line that says what is wrong, and what mends it, from Java's pages."""

import re

from labkit.errors import LabError

LOOK_IN_LOG = "the lines above say more"
KNOWN = (
    (
        re.compile(r'relation "(?P<table>[^"]+)" does not exist'),
        "PostgreSQL has no table {table}, which the job writes to; what was in it is gone",
        "labkit engine use flink-cdc makes a new one for predictions, of changes from now on; of all rows after: "
        "labkit engine stop flink-cdc --forget. count_labels(…) makes a new one for counts",
    ),
    (
        re.compile(r'replication slot "(?P<slot>[^"]+)" is active for PID (?P<pid>\d+)'),
        "replication slot {slot} is read by somebody else, PostgreSQL's process {pid}; the job is tried again",
        "end that program, or its connection: SELECT pg_terminate_backend({pid})",
    ),
    (
        # Two queries read each record, each by a format of its own: whichever comes first says so.
        re.compile(r"(?:Corrupt Debezium JSON message|Failed to deserialize JSON) '(?P<record>.*?)'", re.DOTALL),
        "a record is no change event of Debezium's: {record!r:.100}",
        "nothing behind it is counted; count_labels(…, skip_bad=True) passes such records over",
    ),
)
"""What Java says, and what that means."""


def why_it_ended(trace: str) -> LabError:
    """What ended a job, for whoever reads its log.

    Args:
        trace: Java's exception, with its causes.
    """
    for pattern, problem, fix in KNOWN:
        if found := pattern.search(trace):
            said = found.groupdict()
            return LabError(f"Flink's job has ended: {problem.format(**said)}", fix.format(**said))
    return LabError(f"Flink's job has ended: {_root_cause(trace)}", LOOK_IN_LOG)


def _root_cause(trace: str) -> str:
    """What a Java exception says first of what caused it."""
    causes = [line for line in trace.splitlines() if "Caused by:" in line] or trace.splitlines()[:1]
    return causes[-1].partition("Caused by:")[2].strip() or trace.partition("\n")[0]
