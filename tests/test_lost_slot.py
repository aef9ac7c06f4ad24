"""The replication slot: it follows what Kafka has; one that PostgreSQL gives up is named, and mended as it is told."""

import time

import psycopg
import pytest

from labkit import Lab
from labkit.digits import load_digits
from labkit.model.network import build_network
from tests.labs import PATIENCE_S, all_scored, lab_of_its_own

pytestmark = pytest.mark.beside

KEPT_MIB = 64


def notes(lab: Lab) -> dict[str, str]:
    """What the status tells of each part that is not well."""
    return {service.name: service.note for service in lab.status() if not service.healthy}


def wait_until_confirmed(lab: Lab) -> None:
    """Send two digits, soon after each other, and wait until the slot needs no log of the first any more.

    That of the second it keeps: Debezium knows of a commit only when it has passed on the rows before it.
    """
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        (before,) = connection.execute("SELECT pg_current_wal_lsn()").fetchone() or (None,)
        lab.sender.send(1, 1.0)
        time.sleep(0.3)
        lab.sender.send(1, 1.0)
        confirmed = "SELECT confirmed_flush_lsn > %s FROM pg_replication_slots WHERE slot_name = 'lab'"
        lab.wait_until(lambda: connection.execute(confirmed, [before]).fetchall() == [(True,)], "it is confirmed", 30)


def test_a_lost_slot_is_named_and_reading_the_tables_anew_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_SLOT_WAL_KEEP_MIB", str(KEPT_MIB))
    monkeypatch.setenv("LABKIT_HEARTBEAT_MS", "600000")  # No other record moves the slot on.
    with lab_of_its_own("lost-slot") as lab:
        lab.capture("bytes")
        lab.publish(build_network(seed=1))
        lab.tables.copy(load_digits("bundled", "test").take(100), "mnist_test")
        all_scored(lab)
        wait_until_confirmed(lab)
        # Debezium chooses its queries by the connector's name, and warns where it finds none for that.
        assert "not connector specific" not in lab.stack.log("connect", 5000)
        lab.stack.stop_service("connect")
        lab.sender.send(10, 100.0)
        with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
            for _ in range(2 * KEPT_MIB):
                connection.execute("SELECT pg_logical_emit_message(false, 'other', repeat('x', 1048576))")
            connection.execute("CHECKPOINT")
        lab.stack.start_service("connect")
        began = time.monotonic()
        lab.wait_until(lambda: "lab-connector" in notes(lab), "the connector is not well", PATIENCE_S)
        assert "replication slot 'lab' is lost (wal_removed)" in notes(lab)["lab-connector"]
        print(f"named after {time.monotonic() - began:.1f} s")
        assert len(lab.ledger().rows_without_event) == 10

        lab.release("bytes")
        lab.capture("bytes")
        all_scored(lab)
        assert not notes(lab)
        ledger = lab.ledger()
        assert ledger.lost == 0 and ledger.score_agrees, ledger
