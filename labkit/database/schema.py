"""The tables, the publication and the capture role."""

from typing import LiteralString

import psycopg
from psycopg import sql

from labkit.settings import TEST_TABLE, TRAIN_TABLE

TABLES = (TRAIN_TABLE, TEST_TABLE)
PUBLICATION = "dbz_publication"
"""Debezium's default name: made beforehand by the tables' owner, so that the capture role need not own anything."""

# The constraints refuse at the edge what is not a digit, so that nothing downstream need to.
# How ids are drawn is left open.
TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS {table} (
    id     {number} PRIMARY KEY,
    label  smallint CONSTRAINT label_is_a_digit CHECK (label BETWEEN 0 AND 9),
    pixels bytea NOT NULL CONSTRAINT pixels_are_784_bytes CHECK (octet_length(pixels) = 784)
)
"""


def id_sequence(table: str) -> str:
    """Name of the sequence that a table's ids are drawn from."""
    return f"{table}_id_seq"


def create_schema(connection: psycopg.Connection, capture_user: str, capture_password: str) -> None:
    """Make the tables, the role that captures and the publication, where they are missing.

    The role may log in, replicate, and read these two tables. It can write nothing and reads nothing else.
    """
    role = sql.Identifier(capture_user)
    password = sql.Literal(capture_password)
    with connection.transaction():
        # Serialises two starts at once; the number is arbitrary but fixed.
        connection.execute("SELECT pg_advisory_xact_lock(784)")
        for table in TABLES:
            ids = sql.Identifier(id_sequence(table))
            # No table owns it: one that is dropped and made anew goes on counting, and no id is used for two rows.
            connection.execute(sql.SQL("CREATE SEQUENCE IF NOT EXISTS {} AS integer").format(ids))
            connection.execute(sql.SQL("ALTER SEQUENCE {} OWNED BY NONE").format(ids))
            number = sql.SQL("integer DEFAULT nextval({})").format(sql.Literal(id_sequence(table)))
            connection.execute(sql.SQL(TABLE).format(table=sql.Identifier(table), number=number))
            # The log then holds the old row as well, so that a change event can tell what was before.
            known = connection.execute("SELECT relreplident FROM pg_class WHERE oid = %s::regclass", [table]).fetchone()
            if known != ("f",):
                connection.execute(sql.SQL("ALTER TABLE {} REPLICA IDENTITY FULL").format(sql.Identifier(table)))
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [capture_user]).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        connection.execute(sql.SQL("{} ROLE {} LOGIN REPLICATION PASSWORD {}").format(verb, role, password))
        connection.execute(
            sql.SQL("GRANT SELECT ON {}, {} TO {}").format(
                sql.Identifier(TRAIN_TABLE), sql.Identifier(TEST_TABLE), role
            )
        )
        published = connection.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", [PUBLICATION]).fetchone()
        if not published:
            connection.execute(sql.SQL("CREATE PUBLICATION {}").format(sql.Identifier(PUBLICATION)))
        # A table that was dropped and is made anew has left its publication with the drop.
        for table in _unpublished(connection):
            connection.execute(
                sql.SQL("ALTER PUBLICATION {} ADD TABLE {}").format(sql.Identifier(PUBLICATION), sql.Identifier(table))
            )


def schema_problem(connection: psycopg.Connection) -> str:
    """Why changes of a table could not be captured: it is missing, or is not published.

    Empty where all is well, and before there is a publication: then the first start is still under way.
    """
    if not connection.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", [PUBLICATION]).fetchone():
        return ""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    for table in TABLES:
        if (table,) not in tables:
            return f"there is no table {table}: labkit up makes it anew"
    for table in _unpublished(connection):
        return f"table {table} is not published, so its changes are not captured: labkit up mends it"
    return ""


def _unpublished(connection: psycopg.Connection) -> list[str]:
    # Not from pg_publication_tables: that view waits for locks on the tables.
    published = connection.execute(
        "SELECT relname FROM pg_publication_rel JOIN pg_publication ON pg_publication.oid = prpubid "
        "JOIN pg_class ON pg_class.oid = prrelid WHERE pubname = %s",
        [PUBLICATION],
    ).fetchall()
    return [table for table in TABLES if (table,) not in published]
