"""The replication slots while somebody else writes and the lab's tables are idle."""

import time

import psycopg
import pytest

from labkit import Lab

MIB = 2**20
MOST_MIB = 32
PART_MIB = 4
PAUSE_S = 0.4
"""Less than 10 MiB a second: a slot follows two heartbeats and a moment later."""
LAGS = """
SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint
FROM pg_replication_slots WHERE slot_name IN ('lab', 'debezium')
"""


@pytest.mark.parametrize("foreign_mib", [128, pytest.param(1024, marks=pytest.mark.on_demand)])
def test_foreign_writes_do_not_pile_up_behind_the_slots(scoring_lab: Lab, foreign_mib: int) -> None:
    lab = scoring_lab
    lab.sender.send(3, 100.0)
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:

        def lags() -> dict[str, int]:
            return dict(connection.execute(LAGS).fetchall())

        connection.execute("CREATE TABLE foreign_rows (content text)")
        connection.execute("ALTER TABLE foreign_rows ALTER content SET STORAGE EXTERNAL")
        lab.wait_until(lambda: max(lags().values()) < MIB, "the slots have caught up", timeout_s=60)
        worst: dict[str, int] = {}
        try:
            for _ in range(foreign_mib // PART_MIB):
                connection.execute(
                    "INSERT INTO foreign_rows SELECT repeat('x', 8192) FROM generate_series(1, %s)", [PART_MIB * 128]
                )
                worst = {slot: max(lag, worst.get(slot, 0)) for slot, lag in lags().items()}
                time.sleep(PAUSE_S)
            # PostgreSQL goes on writing for a while: it vacuums.
            lab.wait_until(lambda: max(lags().values()) < MIB, "nothing waits", timeout_s=60)
        finally:
            connection.execute("DROP TABLE foreign_rows")
    print({slot: f"{lag / MIB:.1f} MiB" for slot, lag in worst.items()})
    assert worst.keys() == {"lab", "debezium"}
    assert max(worst.values()) < MOST_MIB * MIB, worst
