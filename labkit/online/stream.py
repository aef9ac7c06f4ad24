"""The iris tables, their capture and their topics in a running lab: made when somebody wants them, and removed.

They stand beside the digits: tables, publication, slot, connector and topics of their own.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, LiteralString, TypeVar

import psycopg
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError
from psycopg import errors, sql

from labkit.capture.configs import load_config
from labkit.capture.connect import ConnectClient
from labkit.errors import LabError
from labkit.online.events import PREFIX, SOURCES, TEST_TABLE, TRAIN_TABLE
from labkit.online.iris import Flowers
from labkit.online.records import (
    CENTRES_TOPIC,
    PREDICTIONS_TOPIC,
    IrisPrediction,
    Learned,
    read_iris_predictions,
    read_learned,
)
from labkit.settings import Endpoints, Settings
from labkit.stream.topics import CLIENT, HEARTBEAT_CONFIG

ROUTE = "iris"
Found = TypeVar("Found")
PATIENCE_S = 20.0
TABLES = (TRAIN_TABLE, TEST_TABLE)
PUBLICATION = "iris_publication"
HEARTBEATS = f"__debezium-heartbeat.{PREFIX}"
TOPICS = (*SOURCES, PREDICTIONS_TOPIC, CENTRES_TOPIC)

# PostgreSQL's NaN is greater than every number, so that the upper bounds refuse it, too.
TABLE: LiteralString = """
CREATE TABLE IF NOT EXISTS {table} (
    id           serial PRIMARY KEY,
    sepal_length double precision NOT NULL CHECK (sepal_length > 0 AND sepal_length < 100),
    sepal_width  double precision NOT NULL CHECK (sepal_width > 0 AND sepal_width < 100),
    petal_length double precision NOT NULL CHECK (petal_length > 0 AND petal_length < 100),
    petal_width  double precision NOT NULL CHECK (petal_width > 0 AND petal_width < 100),
    label        smallint CHECK (label BETWEEN 0 AND 2)
)
"""
INSERT: LiteralString = (
    "INSERT INTO {table} (sepal_length, sepal_width, petal_length, petal_width, label) "
    "VALUES (%s, %s, %s, %s, %s) RETURNING id"
)
END_READER: LiteralString = (
    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active"
)
DROP_SLOT: LiteralString = (
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"
)


class IrisStream:
    """The iris tables of a running lab, captured into Kafka.

    Args:
        endpoints: Where its servers answer.
        settings: The lab's.

    Raises:
        LabError: The lab captures with Debezium Server.
    """

    def __init__(self, endpoints: Endpoints, settings: Settings) -> None:
        if endpoints.capture != "connect":
            raise LabError("the iris tables are captured by Kafka Connect only", "labkit up --capture connect")
        self._endpoints = endpoints
        self._connector = load_config(ROUTE, endpoints, settings)
        self._connect = ConnectClient(endpoints.connect, patience_s=settings.start_timeout_s / 4)

    def setup(self) -> None:
        """Make tables, publication and topics where they are missing, then the connector. Repeating it is harmless.

        Raises:
            LabError: A server is away, or the connector does not run in time.
        """
        with self._postgres() as connection, connection.transaction():
            role, publication = sql.Identifier(self._endpoints.capture_user), sql.Identifier(PUBLICATION)
            tables = sql.SQL(", ").join(map(sql.Identifier, TABLES))
            for table in TABLES:
                connection.execute(sql.SQL(TABLE).format(table=sql.Identifier(table)))
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(tables, role))
            if not connection.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", [PUBLICATION]).fetchone():
                connection.execute(sql.SQL("CREATE PUBLICATION {} FOR TABLE {}").format(publication, tables))
        self._create_topics()
        self._connect.register(self._connector)

    def insert(self, flowers: Flowers, table: str = TRAIN_TABLE) -> list[int]:
        """Insert flowers in one transaction, so that they are one mini-batch. Returns the new rows' ids.

        Raises:
            LabError: There is no such table, PostgreSQL refuses a row, or is away.
        """
        if table not in TABLES:
            raise LabError(f"there is no iris table {table!r}", f"one of {', '.join(TABLES)}")
        statement = sql.SQL(INSERT).format(table=sql.Identifier(table))
        rows = zip(flowers.features.tolist(), flowers.labels.tolist(), strict=True)
        try:
            with self._postgres() as connection, connection.transaction():
                answers = [connection.execute(statement, [*row, label]).fetchone() for row, label in rows]
        except (errors.CheckViolation, errors.NotNullViolation, errors.DataError) as error:
            raise LabError(
                f"a row is no flower: {error.diag.message_primary}", "lengths in cm, label 0 to 2"
            ) from error
        return [int(answer[0]) for answer in answers if answer]

    def wait_learned(self, rows: int, timeout_s: float = 120.0) -> Learned:
        """Wait until a job has learned so many training rows; returns its centres.

        Raises:
            LabError: It has not in time.
        """
        return _wait(
            lambda: next((found for found in read_learned(self._endpoints.kafka) if found.rows >= rows), None),
            f"{rows} training rows are learned",
            timeout_s,
        )

    def wait_predicted(self, ids: Sequence[int], timeout_s: float = 120.0) -> list[IrisPrediction]:
        """Wait until a job has predicted these test rows; returns its predictions in the order of the rows.

        Raises:
            LabError: It has not in time.
        """

        def predictions() -> list[IrisPrediction] | None:
            found = {prediction.row_id: prediction for prediction in read_iris_predictions(self._endpoints.kafka)}
            return [found[row_id] for row_id in ids] if all(row_id in found for row_id in ids) else None

        return _wait(predictions, f"{len(ids)} test rows are predicted", timeout_s)

    def things(self) -> list[str]:
        """What there is of it now, such as ``topic iris-centres``; empty after `clear`."""
        found = [f"connector {name}" for name in self._connect.names() if name == self._connector.name]
        with self._postgres() as connection:
            for kind, (query, names) in self._catalogue().items():
                found += [f"{kind} {name}" for (name,) in connection.execute(query, [names]).fetchall()]
        admin = self._admin()
        try:
            return found + [f"topic {name}" for name in self._topics(admin)]
        finally:
            admin.close()

    def clear(self) -> None:
        """Remove all of it: the connector first, or it would make the rest again. End the jobs before.

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
                raise LabError(f"still in use: {', '.join(left)}", "end what reads it, then clear again")
            time.sleep(0.3)

    def _remove_once(self) -> None:
        # By the list: just after its end Connect still tells how a connector is, and refuses to stop it.
        if self._connector.name in self._connect.names():
            self._connect.delete(self._connector.name, forget_offsets=True)
        with self._postgres() as connection:
            connection.execute(END_READER, [self._connector.slot])
            connection.execute(DROP_SLOT, [self._connector.slot])
            connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(PUBLICATION)))
            for table in TABLES:
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table)))
        admin = self._admin()
        try:
            topics = self._topics(admin)
            if topics:
                admin.delete_topics(topics)
        except UnknownTopicOrPartitionError:
            pass  # Gone in the meantime.
        finally:
            admin.close()

    def _create_topics(self) -> None:
        admin = self._admin()
        try:
            existing = set(admin.list_topics())
            new = [NewTopic(name, 1, 1) for name in TOPICS if name not in existing]
            if HEARTBEATS not in existing:
                new.append(NewTopic(HEARTBEATS, 1, 1, topic_configs=HEARTBEAT_CONFIG))
            if new:
                admin.create_topics(new)
                admin.wait_for_topics([topic.name for topic in new])
        except TopicAlreadyExistsError:
            pass  # Somebody else made them in the meantime.
        finally:
            admin.close()

    def _catalogue(self) -> dict[str, tuple[LiteralString, list[str]]]:
        return {
            "slot": ("SELECT slot_name FROM pg_replication_slots WHERE slot_name = ANY(%s)", [self._connector.slot]),
            "publication": ("SELECT pubname FROM pg_publication WHERE pubname = ANY(%s)", [PUBLICATION]),
            "table": ("SELECT tablename FROM pg_tables WHERE tablename = ANY(%s)", list(TABLES)),
        }

    def _topics(self, admin: Any) -> list[str]:
        return [name for name in admin.list_topics() if name in (*TOPICS, HEARTBEATS)]

    def _postgres(self) -> psycopg.Connection[tuple[Any, ...]]:
        try:
            return psycopg.connect(self._endpoints.postgres, autocommit=True)
        except psycopg.OperationalError as error:
            raise LabError(f"PostgreSQL: {str(error).strip()}", "labkit status") from error

    def _admin(self) -> Any:
        try:
            return KafkaAdminClient(bootstrap_servers=self._endpoints.kafka, **CLIENT)
        except KafkaError as error:
            raise LabError(f"no Kafka broker answers at {self._endpoints.kafka}", "labkit up") from error


def _wait(look: Callable[[], Found | None], what: str, timeout_s: float) -> Found:
    deadline = time.monotonic() + timeout_s
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout_s:.0f} s in vain: {what}", "see whether the job runs, and its log")
        time.sleep(0.3)
    return found
