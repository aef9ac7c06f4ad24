"""A workbench: what a lesson makes on the servers carries its name, and is cleared away by it."""

import time
from typing import Any, LiteralString

import psycopg
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import GroupIdNotFoundError, KafkaError, UnknownTopicOrPartitionError
from psycopg import sql

from labkit.database.schema import PUBLICATION, TABLE
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.settings import BYTES_PREFIX, CSV_PREFIX, table_topic
from labkit.stream.topics import CLIENT

PATIENCE_S = 20.0
CAPTURED = "mnist_"
"""How the tables are called that the lab's own routes capture, see labkit/capture/connectors/."""

# A slot that some process still reads cannot be dropped: its reader is ended first.
END_READERS: LiteralString = (
    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE starts_with(slot_name, %s) AND active"
)
# A connector that starts on a lost slot waits for it for half an hour, and cannot be stopped meanwhile.
DROP_LOST_SLOTS: LiteralString = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
    "WHERE starts_with(slot_name, %s) AND wal_status = 'lost' AND NOT active"
)
DROP_SLOTS: LiteralString = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
    "WHERE starts_with(slot_name, %s) AND NOT active"
)


class Workbench:
    """Everything a lesson makes on the servers of a lab: connectors, slots, publications, tables, topics, groups.

    All of it is named ``course_<lesson>…``, so that a lesson which was broken off can be cleared away, too. A lesson
    calls `clear` first and last.

    Args:
        lab: A running lab.
        lesson: A short name of lower-case letters.

    Raises:
        LabError: The name is not of that form, and would not do for a replication slot.
    """

    def __init__(self, lab: Lab, lesson: str) -> None:
        if not (lesson.isascii() and lesson.isalpha() and lesson.islower()):
            raise LabError(f"a lesson cannot be called {lesson!r}", "use lower-case letters only")
        self._lab = lab
        self.prefix = f"course_{lesson}"

    def name(self, what: str = "") -> str:
        """A name for something of this lesson, good for a table, a slot, a topic, a connector or a group."""
        return f"{self.prefix}_{what}" if what else self.prefix

    def captured_table(self) -> str:
        """Make an empty table like ``mnist_test`` which the lab's own routes capture, too, and return its name.

        What happens to it is in no score and in no account of the lab. Its topics are made with it.
        """
        name = f"{CAPTURED}{self.prefix}"
        table, role = sql.Identifier(name), sql.Identifier(self._lab.endpoints.capture_user)
        with self._connect() as connection, connection.transaction():
            connection.execute(sql.SQL(TABLE).format(table=table, number=sql.SQL("serial")))
            connection.execute(sql.SQL("ALTER TABLE {} REPLICA IDENTITY FULL").format(table))
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(table, role))
            connection.execute(sql.SQL("ALTER PUBLICATION {} ADD TABLE {}").format(sql.Identifier(PUBLICATION), table))
        topics = [table_topic(prefix, name) for prefix in (CSV_PREFIX, BYTES_PREFIX)]
        admin = self._admin()
        try:
            admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
            admin.wait_for_topics(topics)
        finally:
            admin.close()
        return name

    def things(self) -> list[str]:
        """What there is of this lesson now, such as ``slot course_cdc_a``; empty after `clear`."""
        found = [f"connector {name}" for name in self._connectors()]
        with self._connect() as connection:
            for kind, query in _CATALOGUE.items():
                rows = connection.execute(query, [self.prefix]).fetchall()
                found += [f"{kind} {name}" for (name,) in rows]
        admin = self._admin()
        try:
            found += [f"topic {name}" for name in self._topics(admin)]
            found += [f"group {name}" for name in self._groups(admin)]
        finally:
            admin.close()
        return found

    def clear(self) -> None:
        """Remove all of it: connectors first, or they would make the rest again.

        Raises:
            LabError: Something is still in use after a while; the message names it.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._remove_once()
            left = self.things()
            if not left:
                return
            if time.monotonic() > deadline:
                raise LabError(f"still in use: {', '.join(left)}", "close what reads it, then clear again")
            time.sleep(0.3)

    def _remove_once(self) -> None:
        with self._connect() as connection:
            connection.execute(DROP_LOST_SLOTS, [self.prefix])
        for name in self._connectors():
            self._lab.connect.delete(name, forget_offsets=True)
        with self._connect() as connection:
            connection.execute(END_READERS, [self.prefix])
            connection.execute(DROP_SLOTS, [self.prefix])
            for kind in ("PUBLICATION", "TABLE"):
                for (name,) in connection.execute(_CATALOGUE[kind.lower()], [self.prefix]).fetchall():
                    drop = sql.SQL("DROP {} IF EXISTS {}").format(sql.SQL(kind), sql.Identifier(name))
                    connection.execute(drop)
        admin = self._admin()
        try:
            topics, groups = self._topics(admin), self._groups(admin)
            if topics:
                admin.delete_topics(topics)
            if groups:
                admin.delete_groups(groups)
        except (UnknownTopicOrPartitionError, GroupIdNotFoundError):
            pass  # Gone in the meantime.
        finally:
            admin.close()

    def _connectors(self) -> list[str]:
        if self._lab.endpoints.capture == "server":
            return []  # There is no Connect that could have any.
        return [name for name in self._lab.connect.names() if name.startswith(self.prefix)]

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        try:
            return psycopg.connect(self._lab.endpoints.postgres, autocommit=True)
        except psycopg.OperationalError as error:
            raise LabError(f"PostgreSQL: {str(error).strip()}", "labkit status") from error

    def _admin(self) -> Any:
        try:
            return KafkaAdminClient(bootstrap_servers=self._lab.kafka, **CLIENT)
        except KafkaError as error:
            raise LabError(f"no Kafka broker answers at {self._lab.kafka}", "labkit up") from error

    def _topics(self, admin: Any) -> list[str]:
        # Connectors name their topics by a prefix of theirs, and heartbeat topics after it.
        captured = tuple(table_topic(prefix, CAPTURED + self.prefix) for prefix in (CSV_PREFIX, BYTES_PREFIX))
        return [
            name
            for name in admin.list_topics()
            if name.removeprefix("__debezium-heartbeat.").startswith(self.prefix) or name in captured
        ]

    def _groups(self, admin: Any) -> list[str]:
        names = [str(group["group_id"]) for group in admin.list_groups()]
        return [name for name in names if name.removeprefix("connect-").startswith(self.prefix)]


_CATALOGUE: dict[str, LiteralString] = {
    "slot": "SELECT slot_name FROM pg_replication_slots WHERE starts_with(slot_name, %s)",
    "publication": "SELECT pubname FROM pg_publication WHERE starts_with(pubname, %s)",
    "table": (
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND regexp_like(tablename, '^(mnist_)?' || %s)"
    ),
}
