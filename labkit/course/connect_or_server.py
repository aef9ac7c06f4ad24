"""Checks of lesson 8: what captures takes in memory, what a kill repeats, and what a table of predictions tells."""

from collections import Counter

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from labkit.course.answers import number, whole_number
from labkit.course.capture_figures import capturing
from labkit.course.verdict import WrongAnswer, check
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.stream.reading import read_to_present_end

TOLERANCE = 0.1
"""Memory moves while somebody looks: within a tenth is right."""
SHARE_TOLERANCE = 0.001

COUNTS = """
    SELECT count(*), count(predicted), count(label) FILTER (WHERE predicted IS NOT NULL),
           count(*) FILTER (WHERE predicted = label)
    FROM predictions
"""


@check
def capture_mib(answer: object, lab: Lab) -> str:
    """Whether this is how much memory takes what captures for Kafka now, in all its processes.

    Args:
        answer: MiB.
        lab: The running lab.
    """
    given = number(answer, "an amount in MiB")
    if lab.endpoints.capture != "server":
        raise LabError("this lab captures with Kafka Connect now", "run the lesson's cells in order")
    sizes = {process.name: process.rss_mib for process in capturing(lab)}
    if not sizes:
        raise LabError("nothing captures for Kafka now", "lab.capture()")
    total = sum(sizes.values())
    if _near(given, total):
        return f"{total:.0f} MiB: " + ", ".join(f"{name} {mib:.0f}" for name, mib in sizes.items()) + "."
    for name, mib in sizes.items():
        if _near(given, mib):
            raise WrongAnswer(f"That is {name} alone. Each route has a process of its own: take all that capture.")
    if _near(given, sum(process.rss_mib for process in lab.stack.status())):
        raise WrongAnswer("That is the whole lab. Leave out what does not capture: database, broker, scorers.")
    raise WrongAnswer("It is another amount. Add up rss_mib of server-csv and server-bytes.")


@check
def records_too_many(answer: object, lab: Lab, topic: str) -> str:
    """Whether this is how many records of a topic tell what another one has told already.

    Args:
        answer: Their number.
        lab: The running lab.
        topic: A topic of inserts only; its records have the row's id as key.
    """
    given = whole_number(answer, "a number of records")
    keys = [record.key for record in read_to_present_end(lab.kafka, topic)]
    rows = len(set(keys))
    too_many = len(keys) - rows
    if given == too_many:
        missing = _rows_of(lab, topic.rpartition(".")[2]) - set(map(int, keys))
        there = f"{len(missing):,} rows are missing" if missing else "every row is there"
        return f"{len(keys):,} records of {rows:,} rows: {too_many:,} too many, and {there}."
    if given in (len(keys), rows):
        raise WrongAnswer("Those are all records, or all rows. By how many are there more records than rows?")
    if given == sum(count for count in Counter(keys).values() if count > 1):
        raise WrongAnswer("Those are all records of the rows that came twice. One of each is as it should be.")
    raise WrongAnswer("It is another number. Read the topic anew; each record's key is the row's id.")


@check
def accuracy_in_table(answer: object, lab: Lab) -> str:
    """Whether this is the share of right predictions in the table ``predictions``, where a label tells what is right.

    Args:
        answer: The share, 0 to 1.
        lab: The running lab.
    """
    given = number(answer, "a share")
    changes, predicted, labelled, right = _counts(lab)
    if labelled == 0:
        raise WrongAnswer("The table has no labelled prediction yet: run the cells above first.")
    if abs(given - right / labelled) <= SHARE_TOLERANCE:
        return f"Of {changes} changes {labelled} have prediction and label, and {right} of these are right."
    if abs(given - 100 * right / labelled) <= 100 * SHARE_TOLERANCE:
        raise WrongAnswer("That is in percent. As a share it is between 0 and 1.")
    if any(abs(given - right / wrong) <= SHARE_TOLERANCE for wrong in (changes, predicted)):
        raise WrongAnswer("That counts changes without a label, or without a prediction, as wrong. Leave them out.")
    raise WrongAnswer("It is another share. Compare predicted with label, where neither is empty.")


def _rows_of(lab: Lab, table: str) -> set[int]:
    """The ids in a table."""
    with psycopg.connect(lab.endpoints.postgres) as connection:
        return {row_id for (row_id,) in connection.execute(sql.SQL("SELECT id FROM {}").format(sql.Identifier(table)))}


def _near(given: float, mib: float) -> bool:
    return abs(given - mib) <= TOLERANCE * mib


def _counts(lab: Lab) -> TupleRow:
    """Of the table of predictions: changes, those with a prediction, with a label as well, and right ones."""
    with psycopg.connect(lab.endpoints.postgres) as connection:
        row = connection.execute(COUNTS).fetchone()
    assert row is not None  # An aggregate has a row, always.
    return row
