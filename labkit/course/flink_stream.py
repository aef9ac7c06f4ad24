"""Checks of lesson 10: Kafka transactions seen by their offsets, a changelog, Flink's snapshot, what its slot keeps."""

import json
from collections import Counter
from collections.abc import Collection
from itertools import pairwise

import psycopg

from labkit.course.answers import number, whole_number
from labkit.course.engine_figures import recorded
from labkit.course.verdict import WrongAnswer, check
from labkit.engines.options import CDC_SLOT
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.stream.reading import read_to_present_end

TOLERANCE = 0.25
"""The log grows while somebody looks."""


@check
def transactions(answer: object, lab: Lab, rows: Collection[int]) -> str:
    """Whether this is in how many Kafka transactions the predictions of these rows were written.

    Args:
        answer: Their number.
        lab: The running lab.
        rows: Ids of rows that were inserted and not changed since, and nothing else meanwhile.
    """
    given = whole_number(answer, "a number of transactions")
    offsets = [offset for prediction, offset in recorded(lab) if prediction.row_id in set(rows)]
    found = 1 + sum(then - first > 1 for first, then in pairwise(offsets))
    if given == found:
        return f"{len(offsets)} predictions in {found} transactions: one for each checkpoint that had any to commit."
    if given == found - 1:
        raise WrongAnswer("Those are the gaps between them. Between n transactions are n - 1 gaps.")
    if given == len(offsets):
        raise WrongAnswer("Those are the predictions. Where one offset is left out, a transaction has ended.")
    raise WrongAnswer("It is another number. Look where the predictions' own offsets leave one out.")


@check
def changelog_rows(answer: object, lab: Lab, topic: str, rows: Collection[int]) -> str:
    """Whether this is how many rows Flink's changelog got for what happened to these rows of a table.

    Args:
        answer: Their number.
        lab: The running lab.
        topic: Debezium's whole change events, as of `labkit.course.envelopes.capture_envelopes`.
        rows: Ids.
    """
    given = whole_number(answer, "a number of rows")
    events = (json.loads(record.value) for record in read_to_present_end(lab.kafka, topic) if record.value)
    kinds = Counter(event["op"] for event in events if (event["after"] or event["before"])["id"] in set(rows))
    updates, deletes, total = kinds["u"], kinds["d"], kinds.total()
    if given == total + updates:
        return f"{given}: {total} change events, and each of the {updates} updates takes a row back and adds one."
    if given == total:
        raise WrongAnswer(
            "Those are the change events. An update takes the old row back and adds the new one: two rows."
        )
    if given == total + updates + deletes:
        raise WrongAnswer("A delete takes a row back, and adds none.")
    raise WrongAnswer(
        "It is another number: an insert adds a row, an update takes one back and adds one, a delete takes one back."
    )


@check
def from_snapshot(answer: object, lab: Lab) -> str:
    """Whether this is how many rows Flink found in the table when it began, before it read the log.

    Args:
        answer: Their number.
        lab: The running lab.
    """
    given = whole_number(answer, "a number of rows")
    with psycopg.connect(lab.endpoints.postgres) as connection:
        query = "SELECT operation, count(*) FROM predictions GROUP BY operation"
        counts: dict[str, int] = dict(connection.execute(query).fetchall())
    found = counts.get("r", 0)
    if given == found:
        return f"{found} rows by the snapshot; what came since: {sum(counts.values()) - found}."
    if given == sum(counts.values()):
        raise WrongAnswer("Those are all predictions. Debezium's code of a row that a snapshot found is r.")
    raise WrongAnswer("It is another number. Count the predictions by their operation.")


@check
def kept_log_mib(answer: object, lab: Lab) -> str:
    """Whether this is how much log PostgreSQL keeps for Flink's slot now.

    Args:
        answer: MiB.
        lab: The running lab.
    """
    given = number(answer, "an amount in MiB")
    with psycopg.connect(lab.endpoints.postgres) as connection:
        query = "SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 FROM pg_replication_slots"
        kept: dict[str, float] = {name: size / 2**20 for name, size in connection.execute(query) if size is not None}
    if CDC_SLOT not in kept:
        raise LabError("Flink has no slot now", "run the lesson's cells in order")
    found = kept[CDC_SLOT]
    if _near(given, found):
        return f"{found:.1f} MiB, and more with every write until Flink reads on, or its slot is removed."
    if _near(given / 2**20, found):
        raise WrongAnswer("That is in bytes. A MiB has 1,048,576.")
    if any(_near(given, size) for name, size in kept.items() if name != CDC_SLOT):
        raise WrongAnswer(f"That is another slot's. Flink's is named {CDC_SLOT!r}.")
    raise WrongAnswer("It is another amount: from the slot's restart_lsn to pg_current_wal_lsn().")


def _near(given: float, found: float) -> bool:
    return abs(given - found) <= TOLERANCE * max(found, 0.1)
