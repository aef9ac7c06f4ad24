"""Changes that share an LSN, as a COPY's do: none is lost or repeated where a worker is killed between them."""

import dataclasses
import threading
import time

import pytest

from labkit import Lab
from labkit.capture.configs import load_config
from labkit.digits import load_digits
from labkit.settings import TEST_TABLE, table_topic
from labkit.stream.events import decode_events
from labkit.stream.reading import read_to_present_end
from labkit.stream.topics import offset_range
from tests.accounts import balanced
from tests.test_worker_restart import kill

TOPIC = table_topic("lab", TEST_TABLE)
ROWS, KILLS = 5000, 4
DEBEZIUMS = "io.debezium.connector.postgresql.PostgresConnector"
SMALL_BATCHES = {"max.batch.size": "7", "max.queue.size": "16"}
"""So that many a batch ends between two rows with the same LSN."""


def captures_again(lab: Lab) -> None:
    """Wait until some batches of rows have come."""

    def end() -> int:
        return sum(end for _, end in offset_range(lab.kafka, TOPIC).values())

    before = end()
    lab.wait_until(lambda: end() > before + 20 * int(SMALL_BATCHES["max.batch.size"]), "rows come", timeout_s=120)


def test_a_worker_killed_between_rows_of_one_copy(scoring_lab: Lab) -> None:
    lab = scoring_lab
    before = balanced(lab)
    usual = load_config("bytes", lab.endpoints, lab.settings)
    lab.connect.register(dataclasses.replace(usual, config={**usual.config, **SMALL_BATCHES}))
    digits = load_digits("bundled", "test")
    copied: list[int] = []

    def copy() -> None:
        for _ in range(ROWS // 250):
            copied.extend(lab.tables.copy(digits.take(250), TEST_TABLE))

    try:
        writer = threading.Thread(target=copy)
        writer.start()
        for _ in range(KILLS):
            captures_again(lab)
            kill(lab, "connect")
            lab.wait_until(lambda: all(status.healthy for status in lab.status()), "Connect is back", timeout_s=120)
        writer.join()
        lab.wait_captured(300)
        after = balanced(lab)
    finally:
        lab.connect.register(usual)
    assert after.rows == before.rows + ROWS == before.rows + len(copied)
    events = decode_events(read_to_present_end(lab.kafka, TOPIC))
    ours = [event for event in events if event.row_id in set(copied)]
    assert [event.row_id for event in ours] == copied
    assert len({event.lsn for event in ours}) < ROWS / 2  # Several rows share one: else this shows nothing.


@pytest.mark.on_demand
def test_debeziums_own_connector_loses_some(scoring_lab: Lab) -> None:
    """Should this fail one day, Debezium has mended it, and ours need not do so any more."""
    lab = scoring_lab
    usual = load_config("bytes", lab.endpoints, lab.settings)
    own = {**usual.config, **SMALL_BATCHES, "connector.class": DEBEZIUMS}
    lab.connect.register(dataclasses.replace(usual, config=own))
    try:
        lab.tables.copy(load_digits("bundled", "test").take(ROWS), TEST_TABLE)
        for _ in range(KILLS):
            time.sleep(0.5)
            kill(lab, "connect")
            lab.wait_until(lambda: all(status.healthy for status in lab.status()), "Connect is back", timeout_s=60)
        assert lab.ledger(wait_s=60).rows_without_event
    finally:
        lab.connect.register(usual)
        assert lab.mend().whole
