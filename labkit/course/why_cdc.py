"""Checks of lesson 2: what dual writes lose, what polling costs, what the log tells."""

import json

import psycopg
from kafka.consumer.fetcher import ConsumerRecord
from psycopg import sql

from labkit.course.answers import whole_number
from labkit.course.verdict import WrongAnswer, check
from labkit.lab import Lab
from labkit.stream.reading import read_to_present_end


@check
def lost_rows(answer: object, lab: Lab, table: str, topic: str) -> str:
    """Whether this is how many rows of a table never reached a topic.

    Args:
        answer: Their number.
        lab: The running lab.
        table: The table; its column ``id`` is the records' key.
        topic: The topic.
    """
    given = whole_number(answer, "a number of rows")
    with psycopg.connect(lab.endpoints.postgres) as connection:
        rows = {row_id for (row_id,) in connection.execute(sql.SQL("SELECT id FROM {}").format(sql.Identifier(table)))}
    told = {int(record.key) for record in read_to_present_end(lab.kafka, topic)}
    lost = len(rows - told)
    if given == lost:
        return f"Of {len(rows):,} rows, {lost} {'was' if lost == 1 else 'were'} committed and never told to Kafka."
    if given == len(rows) - len(told) or given in (len(rows), len(told)):
        raise WrongAnswer("That compares sizes. Compare the ids: which are in the table and not among the keys?")
    raise WrongAnswer(
        "It is another number. Take the ids of the table, and from these the keys of the topic's records."
    )


@check
def sequential_scans(answer: object, lab: Lab, table: str) -> str:
    """Whether this is how many sequential scans of a table PostgreSQL has counted.

    Args:
        answer: Their number.
        lab: The running lab.
        table: The table.
    """
    given = whole_number(answer, "a number of scans")
    with psycopg.connect(lab.endpoints.postgres) as connection:
        row = connection.execute(
            "SELECT seq_scan, seq_tup_read, idx_scan FROM pg_stat_user_tables WHERE relname = %s", [table]
        ).fetchone()
    if row is None:
        raise WrongAnswer(f"PostgreSQL has no statistics of a table {table}: run the cells above first.")
    scans, tuples, by_index = row
    if given == scans:
        return f"{scans:,} scans read {tuples:,} rows, to find out again and again what had changed."
    if given == tuples:
        raise WrongAnswer("That is how many rows the scans read: seq_tup_read. How many scans were there?")
    if given == by_index:
        raise WrongAnswer("Those are the scans by index. A poll without an index reads the table in sequence.")
    raise WrongAnswer("PostgreSQL has counted another number. Look at pg_stat_user_tables, where relname is the table.")


@check
def captured_deletes(answer: object, lab: Lab, topic: str) -> str:
    """Whether this is how many deletes Debezium has told a topic.

    Args:
        answer: Their number.
        lab: The running lab.
        topic: The topic, of whole change events as JSON.
    """
    given = whole_number(answer, "a number of deletes")
    records = list(read_to_present_end(lab.kafka, topic))
    deletes = sum(_operation(record) == "d" for record in records)
    if given == deletes:
        return f"{deletes} deletes came, each with the key of the row that is gone. The polls saw none of them."
    if given == 2 * deletes:
        raise WrongAnswer("After each delete comes a tombstone, a record without a value. Count the deletes only.")
    raise WrongAnswer("It is another number. A delete is a record whose value has the op 'd'.")


def _operation(record: ConsumerRecord) -> str | None:
    return json.loads(record.value)["op"] if record.value else None
