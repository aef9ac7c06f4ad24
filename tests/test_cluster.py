"""A PostgreSQL cluster is made whole or not at all; no server is started here."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labkit.errors import LabError
from labkit.settings import Endpoints, Settings
from labkit.stack.postgres import PostgresPlace, configure, place, prepare, remove

ENDPOINTS = Endpoints(
    postgres_port=5433,
    kafka_port=1,
    source_port=1,
    connect_port=1,
    admin_password="none",
    capture_password="none",
)


@pytest.fixture
def where() -> Iterator[PostgresPlace]:
    """A place of the test's own that the account PostgreSQL runs as can reach, also when root runs the tests."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield replace(place(Settings()), data=Path(folder, "data"))


def setting(where: PostgresPlace, name: str) -> str:
    """What PostgreSQL itself reads in the cluster's configuration."""
    result = subprocess.run(
        [where.programs / "postgres", "-D", where.data, "-C", name],
        user=where.user,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


def test_two_homes_never_share_a_cluster(tmp_path: Path) -> None:
    homes = [tmp_path / "a-b" / "c", tmp_path / "a" / "b-c", tmp_path / "a" / "b" / "c"]
    assert len({place(Settings(home=home)).data for home in homes}) == 3


def test_cluster_is_made_once_and_private(where: PostgresPlace) -> None:
    prepare(where, "secret")
    assert (where.data / "PG_VERSION").read_text().strip() == "18"
    assert stat.S_IMODE(where.data.stat().st_mode) == 0o700
    assert "scram-sha-256" in (where.data / "pg_hba.conf").read_text()
    assert [path.name for path in where.data.parent.iterdir()] == ["data"]
    made = (where.data / "global" / "pg_control").stat()
    prepare(where, "other")
    assert (where.data / "global" / "pg_control").stat().st_mtime_ns == made.st_mtime_ns


def test_rest_of_a_killed_initdb_is_not_taken_for_a_cluster(where: PostgresPlace) -> None:
    script = (
        "from pathlib import Path; from dataclasses import replace; from labkit.settings import Settings;"
        "from labkit.stack.postgres import place, prepare;"
        f"prepare(replace(place(Settings()), data=Path({str(where.data)!r})), 'secret')"
    )
    making = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(where.data.parent.glob("*/PG_VERSION")) and time.monotonic() < deadline:
        time.sleep(0.001)
    os.killpg(making.pid, signal.SIGKILL)
    assert making.wait() == -signal.SIGKILL
    # What the kill left behind has a version, but is no cluster.
    (torn,) = where.data.parent.glob("*/PG_VERSION")
    assert torn.parent != where.data

    prepare(where, "secret")
    configure(where, ENDPOINTS, Settings())
    assert setting(where, "wal_level") == "logical"
    assert [path.name for path in where.data.parent.iterdir()] == ["data"]


def test_failed_initdb_is_told_and_leaves_nothing(where: PostgresPlace) -> None:
    # An empty password is the one thing that initdb refuses everywhere.
    with pytest.raises(LabError, match=r"initdb failed.*password"):
        prepare(where, "")
    assert list(where.data.parent.iterdir()) == []


def test_configuration_is_what_postgres_reads_and_is_included_once(where: PostgresPlace) -> None:
    prepare(where, "secret")
    for keep in (100, 200):
        configure(where, ENDPOINTS, Settings(slot_wal_keep_mib=keep))
        assert setting(where, "max_slot_wal_keep_size") == str(keep)
    assert (where.data / "postgresql.conf").read_text().count("labkit.conf") == 1
    assert setting(where, "wal_level") == "logical"
    assert setting(where, "port") == "5433"
    assert setting(where, "listen_addresses") == "127.0.0.1"


def test_removed_cluster_is_gone_and_removing_again_is_fine(where: PostgresPlace) -> None:
    where.data.mkdir()
    (where.data / "file").touch()
    remove(where)
    remove(where)
    assert not where.data.exists()
