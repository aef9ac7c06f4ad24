"""Checks of lesson 7: what a fault does, and whether it was mended."""

import psycopg
from psycopg import sql

from labkit.course.answers import whole_number
from labkit.course.row_history import existing_row, predictions_of
from labkit.course.verdict import WrongAnswer, check
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.settings import TEST_TABLE
from labkit.stream.reading import read_to_present_end
from labkit.stream.topics import MissingTopicError

ID_HEADER = "id"
SETTLE_S = 60.0


@check
def lost_in_crash(answer: object, lab: Lab) -> str:
    """Whether this is how many changes the whole lab has lost, by its ledger.

    Args:
        answer: The number that the learner predicted.
        lab: The running lab.
    """
    given = whole_number(answer, "a number of digits")
    ledger = lab.ledger(wait_s=SETTLE_S)
    if given == ledger.lost:
        return (
            f"The ledger says so: of {ledger.events:,} changes {ledger.lost} were lost and {ledger.duplicated} "
            "counted twice. They waited in PostgreSQL's log until Kafka was back; what Kafka already held was still on "
            "its disk."
        )
    raise WrongAnswer("The ledger counts another number. Who held the changes while Kafka was away?")


@check
def counts_now(answer: object, lab: Lab) -> str:
    """Whether a row that came without a label counts in the running score now.

    Args:
        answer: The row's id.
        lab: The running lab.
    """
    row_id = existing_row(answer, lab)
    label = lab.tables.labels(TEST_TABLE).get(row_id)
    if label is None:
        raise WrongAnswer(f"Row {row_id} has no label, or is gone: it was predicted, and does not count yet.")
    predictions = predictions_of({row_id}, lab)
    if predictions[0].label is not None:
        raise WrongAnswer(f"Row {row_id} came with a label. Take the one that came without.")
    if predictions[-1].label != label:
        raise LabError("the newest label has not been scored yet", "wait a moment, then run the cell again")
    return f"Row {row_id} was predicted as {predictions[0].predicted} first, and counts as a {label} now."


@check
def healed(answer: object, lab: Lab, name: str, topic: str, row_id: int) -> str:
    """Whether a connector runs again and has passed a poison row.

    Args:
        answer: What the learner put, a dict; the live connector is what counts.
        lab: The running lab.
        name: The connector.
        topic: Its topic.
        row_id: A good row behind the poison row.
    """
    if not isinstance(answer, dict):
        raise WrongAnswer(f"A configuration is a dict of options; this is a {type(answer).__name__}.")
    status = lab.connect.status(name)
    if status is None:
        raise WrongAnswer(f"There is no connector {name} any more. Put its configuration.")
    try:
        lab.connect.wait_running(name)
        lab.wait_until(lambda: row_id in ids_in(lab, topic), f"row {row_id} is in the topic", timeout_s=10)
    except LabError as error:
        tolerance = (lab.connect.config(name) or {}).get("errors.tolerance", "none")
        raise WrongAnswer(
            f"It still stands at the poison row (errors.tolerance is {tolerance!r}): the row is in the log, and a "
            "restart reads it again. Which option lets a record that cannot be transformed pass?"
        ) from error
    return f"The task runs, and row {row_id}, behind the poison row, is in the topic."


@check
def missing_rows(answer: object, lab: Lab, table: str, topic: str) -> str:
    """Whether this is how many rows of a table are in no record of its topic.

    Args:
        answer: Their number.
        lab: The running lab.
        table: The table.
        topic: Its topic; each record tells the row's id in a header.
    """
    given = whole_number(answer, "a number of rows")
    with psycopg.connect(lab.endpoints.postgres) as connection:
        rows = {row_id for (row_id,) in connection.execute(sql.SQL("SELECT id FROM {}").format(sql.Identifier(table)))}
    missing = len(rows - ids_in(lab, topic))
    if given == missing:
        return f"{missing} of {len(rows)} rows never came."
    if given in (len(rows), len(rows) - missing):
        raise WrongAnswer("Those are all rows, or the ones that came. Which ids of the table are in no record?")
    raise WrongAnswer("It is another number. Take the table's ids, and from these the ids in the records' headers.")


def ids_in(lab: Lab, topic: str) -> set[int]:
    """The row ids that a topic's records tell in their header ``id``; none where the topic has not been made yet."""
    try:
        headers = [header for record in read_to_present_end(lab.kafka, topic) for header in record.headers]
    except MissingTopicError:
        return set()
    return {int(value) for name, value in headers if name == ID_HEADER}
