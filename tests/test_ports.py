"""Ports: the wished one, or the next that nobody listens on."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.errors import LabError
from labkit.settings import Endpoints, Settings, write_endpoints
from labkit.stack.home import prepare_home
from labkit.stack.keeper import Keeper, Program
from labkit.stack.ports import TRIES, free_port, held_by_other_labs, is_free


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server of the test's own, on a port the system chose."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_port_is_free_until_somebody_listens_and_again_after() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_listener_on_all_addresses_takes_the_port_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_port_is_free_again_right_after_a_connection_was_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # The server closes first: its side stays in TIME_WAIT.
    assert is_free(port)


def test_taken_port_gives_a_later_one(listener: socket.socket) -> None:
    wished = listener.getsockname()[1]
    found = free_port(wished)
    assert wished < found < wished + TRIES
    assert is_free(found)


def test_ports_given_away_are_skipped(listener: socket.socket) -> None:
    wished = listener.getsockname()[1]
    given: list[int] = []
    for _ in range(4):
        given.append(free_port(wished, given))
    assert len(set(given)) == 4 and given == sorted(given) and wished not in given


def test_a_hundred_taken_ports_are_an_error_that_names_them() -> None:
    with pytest.raises(LabError, match="ports 20000 to 20099 are all taken"):
        free_port(20000, range(20000, 20100))


def test_the_search_ends_with_the_last_port() -> None:
    with pytest.raises(LabError, match="ports 65530 to 65535 are all taken"):
        free_port(65530, range(65530, 65536))


def test_a_lab_that_is_up_keeps_its_ports_while_its_servers_are_down(tmp_path: Path) -> None:
    one, other = (Settings(home=tmp_path / name) for name in ("one", "other"))
    prepare_home(one)
    endpoints = Endpoints(
        postgres_port=20001,
        kafka_port=20002,
        kafka_controller_port=20003,
        connect_port=20004,
        source_port=20001,
        server_ports={"server-csv": 20005},
        admin_password="a",
        capture_password="c",
    )
    write_endpoints(one, endpoints)
    assert not held_by_other_labs(other) & endpoints.ports, "a lab that is down holds none"
    keeper = Keeper(one)
    keeper.start([Program("idle", ["sleep", "60"])])
    try:
        assert endpoints.ports == {20001, 20002, 20003, 20004, 20005}
        assert held_by_other_labs(other) >= endpoints.ports
        assert not held_by_other_labs(one) & endpoints.ports, "its own it may take again"
    finally:
        keeper.stop(lambda _: None)
    assert not held_by_other_labs(other) & endpoints.ports
