"""Checks of lesson 3: a connector by hand, its change events, its slot."""

import json
from typing import Any

import psycopg

from labkit.course.answers import number, whole_number
from labkit.course.verdict import WrongAnswer, check
from labkit.lab import Lab
from labkit.stream.reading import read_to_present_end

FLAT = "ExtractNewRecordState"
MIB = 2**20
TOLERANCE = 0.1
"""While somebody looks, the log grows: within a tenth is right."""


@check
def snapshot_records(answer: object, lab: Lab, topic: str) -> str:
    """Whether this is how many of a topic's change events came from the snapshot.

    Args:
        answer: Their number.
        lab: The running lab.
        topic: A topic of whole change events as JSON.
    """
    given = whole_number(answer, "a number of change events")
    events = _events(lab, topic)
    read = sum(event["op"] == "r" for event in events)
    if given == read:
        return f"{read} rows were there before the connector: op r, and in their source a snapshot that is not 'false'."
    if given == len(events) - read:
        raise WrongAnswer("Those are the ones that came by streaming. Which op has a row that was read, not changed?")
    if given == len(events):
        raise WrongAnswer("Those are all of them. Only the rows that were there before the connector are wanted.")
    raise WrongAnswer("It is another number. Read the topic anew, and count the values whose op is r.")


@check
def flat_with_operation(answer: object, lab: Lab, name: str) -> str:
    """Whether a connector now sends flat rows that tell the operation, by a transform.

    Args:
        answer: The configuration that the learner has put, a dict; the live connector is what counts.
        lab: The running lab.
        name: The connector.
    """
    if not isinstance(answer, dict):
        raise WrongAnswer(f"A configuration is a dict of options; this is a {type(answer).__name__}.")
    now = lab.connect.config(name)
    if now is None:
        raise WrongAnswer(f"There is no connector {name}. Put its configuration first.")
    chain = [transform.strip() for transform in now.get("transforms", "").split(",")]
    flat = [transform for transform in chain if now.get(f"transforms.{transform}.type", "").endswith(FLAT)]
    if not flat:
        if any(option.startswith("transforms.") and value.endswith(FLAT) for option, value in now.items()):
            raise WrongAnswer(f"A transform has the type {FLAT}, but the option transforms does not name it.")
        raise WrongAnswer(f"The connector has no {FLAT} yet. Name a transform, and give it that type.")
    told = [now.get(f"transforms.{flat[0]}.add.{where}", "") for where in ("fields", "headers")]
    fields = [field.strip() for part in told for field in part.split(",") if field.strip()]
    if "op" not in [field.partition(":")[0] for field in fields]:
        raise WrongAnswer(
            f"The rows are flat now, and do not tell what was done to them. Look for add.fields of {flat[0]!r}."
        )
    lab.connect.wait_running(name)
    return f"The envelope is gone, and what matters of it has been kept: {', '.join(fields)}."


@check
def unavailable_columns(answer: object, lab: Lab, topic: str, row_id: int) -> str:
    """Whether this is the column whose value Debezium could not know in a row's newest update.

    Args:
        answer: The column's name.
        lab: The running lab.
        topic: A topic of whole change events as JSON.
        row_id: The row.
    """
    if not isinstance(answer, str):
        raise WrongAnswer(f"A column's name is text; this is a {type(answer).__name__}.")
    updates = [event for event in _events(lab, topic) if event["op"] == "u" and event["after"]["id"] == row_id]
    if not updates:
        raise WrongAnswer(f"There is no update of row {row_id} in the topic yet.")
    after = updates[-1]["after"]
    unknown = [column for column, value in after.items() if value == "__debezium_unavailable_value"]
    if answer in unknown:
        return f"{answer} is stored apart (TOAST), was not changed, and so is not in the log."
    if answer in after:
        raise WrongAnswer(f"Of {answer} the event tells a value. Look for the one with a placeholder.")
    raise WrongAnswer(f"The row has no column of that name; it has {', '.join(after)}.")


@check
def kept_mib(answer: object, lab: Lab, slot: str) -> str:
    """Whether this is how much WAL a slot makes PostgreSQL keep now.

    Args:
        answer: MiB.
        lab: The running lab.
        slot: The replication slot.
    """
    given = number(answer, "an amount in MiB")
    with psycopg.connect(lab.endpoints.postgres) as connection:
        row = connection.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 FROM pg_replication_slots "
            "WHERE slot_name = %s",
            [slot],
        ).fetchone()
    if row is None or row[0] is None:
        raise WrongAnswer(f"There is no slot {slot}, or it keeps nothing.")
    kept = row[0] / MIB
    if abs(given - kept) <= max(1.0, TOLERANCE * kept):
        return f"The slot {slot} keeps {kept:.0f} MiB of WAL for a connector that has stopped."
    if abs(given / MIB - kept) <= max(1.0, TOLERANCE * kept):
        raise WrongAnswer("That is in bytes. How many MiB are they?")
    raise WrongAnswer("It is another amount. From pg_current_wal_lsn() take the slot's restart_lsn.")


def _events(lab: Lab, topic: str) -> list[dict[str, Any]]:
    """A topic's whole change events; tombstones and flat rows are passed over."""
    values = [json.loads(record.value) for record in read_to_present_end(lab.kafka, topic) if record.value]
    return [value for value in values if "op" in value and "source" in value]
