"""The replication slot: it follows what Kafka has; one that PostgreSQL gives up is named, and mended by one command."""

import contextlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import psycopg
import pytest

from labkit import Lab, LabError
from labkit.digits import load_digits
from labkit.model.network import build_network
from tests.accounts import balanced
from tests.labs import PATIENCE_S, all_scored, lab_of_its_own

KEPT_MIB = 64
NOTICED_S = 10.0


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


def noticed(lab: Lab, words: str) -> float:
    """Wait until the dashboard's line says something; returns after how many seconds it did."""
    began = time.monotonic()
    lab.wait_until(lambda: words in lab.capture_problem, words, PATIENCE_S)
    return time.monotonic() - began


def change_unseen(lab: Lab) -> tuple[int, int]:
    """Insert, relabel and delete while nothing captures; returns the deleted row, and one that nobody saw at all."""
    relabelled, deleted, *_ = sorted(lab.tables.labels("mnist_test"))
    lab.sender.send(10, 100.0)
    lab.relabel(relabelled, None)
    lab.delete(deleted)
    unseen = lab.insert(np.zeros((28, 28), np.uint8), 3)
    lab.delete(unseen)
    return deleted, unseen


def labkit_mend(lab: Lab, *options: str) -> str:
    """What the command prints."""
    environment = os.environ | {"LABKIT_HOME": str(lab.settings.home)}
    command = [sys.executable, "-m", "labkit", "mend", *options]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.beside
def test_a_lost_slot_is_named_and_one_command_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_SLOT_WAL_KEEP_MIB", str(KEPT_MIB))
    with lab_of_its_own("lost-slot") as lab:
        lab.capture("bytes")
        lab.publish(build_network(seed=1))
        lab.tables.copy(load_digits("bundled", "test").take(100), "mnist_test")
        all_scored(lab)
        wait_until_confirmed(lab)
        # Debezium chooses its queries by the connector's name, and warns where it finds none for that.
        assert "not connector specific" not in lab.stack.log("connect", 5000)
        assert lab.capture_problem == ""
        lab.stack.stop_service("connect")
        change_unseen(lab)
        with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
            for _ in range(2 * KEPT_MIB):
                connection.execute("SELECT pg_logical_emit_message(false, 'other', repeat('x', 1048576))")
            connection.execute("CHECKPOINT")
        assert noticed(lab, "replication slot 'lab' is lost (wal_removed)") < NOTICED_S
        lab.stack.start_service("connect")
        lab.wait_until(lambda: "lab-connector" in notes(lab), "the connector is not well", PATIENCE_S)
        assert "is lost (wal_removed): changes since are not captured → labkit mend" in notes(lab)["lab-connector"]
        ledger = lab.ledger()
        assert len(ledger.rows_without_event) == 10 and ledger.lost == 12
        assert {fault.kind for fault in ledger.faults} == {
            "row without event",
            "row out of date",
            "row gone without event",
        }

        mended = lab.mend()
        assert mended.read_anew == ["bytes"] and mended.whole and len(mended.deleted_anew) == 1, mended
        assert mended.ledger.counted == 110  # 102, less one without a label and one deleted, and ten.
        lab.wait_until(lambda: not lab.capture_problem and not notes(lab), "all is well", PATIENCE_S)


@pytest.mark.beside
def test_a_dropped_slot_is_named_and_one_command_mends_it() -> None:
    with lab_of_its_own("dropped-slot") as lab:
        lab.capture("bytes")
        lab.publish(build_network(seed=1))
        lab.tables.copy(load_digits("bundled", "test").take(100), "mnist_test")
        all_scored(lab)
        drop = "SELECT pg_terminate_backend(active_pid), pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
            while "lab" in lab.tables.slots():  # Debezium comes back at once, and has to be sent away again.
                with contextlib.suppress(psycopg.errors.ObjectInUse):
                    connection.execute(drop)
        assert noticed(lab, "replication slot 'lab' is gone") < NOTICED_S
        deleted, unseen = change_unseen(lab)
        assert lab.ledger().lost == 12

        found = json.loads(labkit_mend(lab, "--json"))
        assert found["read_anew"] == ["bytes"] and found["deleted_anew"] == [deleted] and found["whole"]
        assert found["ledger"]["ids_never_seen"] == [str(unseen)]
        lab.wait_until(lambda: not lab.capture_problem and not notes(lab), "all is well", PATIENCE_S)
        assert "nothing to mend: 109 rows" in labkit_mend(lab)


def test_rows_that_came_and_went_while_nobody_captured_are_waited_for(scoring_lab: Lab) -> None:
    lab = scoring_lab
    before = balanced(lab).events
    lab.stack.stop_service("connect")
    lab.delete(lab.insert(np.zeros((28, 28), np.uint8), 3))
    assert lab.ledger().balanced  # No table and no event tells of that row.
    lab.stack.start_service("connect")
    assert lab.settle().events == before + 2


@pytest.mark.beside
def test_without_a_slot_nothing_is_waited_for() -> None:
    with lab_of_its_own("no-slot") as lab, pytest.raises(LabError, match="nothing captures"):
        lab.settle()
