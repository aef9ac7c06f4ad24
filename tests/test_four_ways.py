"""Embedded or compose, Kafka Connect or Debezium Server: a lab switched from way to way, and the same comes of it."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from labkit import Lab
from labkit.capturing import Captured
from labkit.digits import load_digits
from labkit.errors import LabError
from labkit.model.network import build_network
from labkit.settings import CaptureName, StackName, load_settings
from labkit.stack import debezium_server
from tests.changes import CHANGES, events_hash, make_changes, predictions_hash
from tests.conftest import HOME

# A way alone has no other to be compared with; tests/test_server.py compares the records of two.
pytestmark = pytest.mark.on_demand

WAYS = [
    # It finds a lab in which nothing has captured yet.
    pytest.param("embedded", "server", id="embedded-server"),
    pytest.param("embedded", "connect", id="embedded-connect"),
    pytest.param("compose", "connect", id="compose-connect"),
    # That of the tests below, too.
    pytest.param("compose", "server", id="compose-server"),
]
SEED, EPOCHS = 1, 3
PATIENCE_S = 240.0
"""How long a busy machine may take."""


def lab_of(stack: StackName, capture: CaptureName) -> Lab:
    """The lab of this module, on one of the ways."""
    home = HOME.with_name(f"{HOME.name}-ways")
    return Lab(load_settings().model_copy(update={"home": home, "stack": stack, "capture": capture}))


@dataclass
class Known:
    """What earlier ways have shown.

    Attributes:
        hashes: Of the events and predictions on the first way.
        rows: How many there are, by stack.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    rows: dict[StackName, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def known(docker_engine: None) -> Iterator[Known]:
    """What earlier ways have shown, and a lab that begins and ends with nothing."""
    lab_of("embedded", "server").down(report=lambda _: None)
    yield Known()
    lab_of("embedded", "server").down(report=lambda _: None)


def started(stack: StackName, capture: CaptureName) -> Lab:
    """The lab on one of the ways: it captures, and scores with the model that all ways share."""
    lab = lab_of(stack, capture).up(lambda _: None)
    lab.capture()
    if not (lab.settings.home / "models" / "current").is_file():
        digits = load_digits("bundled", "train")
        network = build_network(SEED)
        network.fit(digits.images.reshape(len(digits), -1) / 255.0, digits.labels, epochs=EPOCHS, verbose=0)
        lab.publish(network)
    lab.start_scorer()
    return lab


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("stack", "capture"), WAYS)
def test_the_same_changes_give_the_same_events_and_predictions(
    stack: StackName, capture: CaptureName, known: Known
) -> None:
    lab = started(stack, capture)
    before = lab.ledger(wait_s=PATIENCE_S)
    assert before.balanced, before
    assert before.rows == known.rows.get(stack, 0), "its data are kept while another stack has its turn"
    made = make_changes(lab)
    after = lab.ledger(wait_s=PATIENCE_S)
    assert after.balanced, after
    assert after.events - before.events == CHANGES
    found = {"events": events_hash(lab, made), "predictions": predictions_hash(lab, made)}
    assert found == {"events": made.events_hash(), "predictions": made.predictions_hash(lab)}
    known.hashes = known.hashes or found
    assert found == known.hashes
    known.rows[stack] = after.rows
    lab.close()


@pytest.mark.timeout(600)
def test_a_debezium_server_in_a_container_is_killed_and_nothing_is_lost(known: Known) -> None:
    lab = started("compose", "server")
    before = lab.ledger(wait_s=PATIENCE_S)
    name = debezium_server.service("bytes")
    lab.start_sending(50)
    killed: list[int] = []
    for _ in range(2):
        (pid,) = [status.pid for status in lab.status() if status.name == name]
        assert pid is not None and pid not in killed
        killed.append(pid)
        # The process itself: what `docker kill` ends, Docker does not start again.
        os.kill(pid, signal.SIGKILL)
        lab.wait_until(
            lambda: all(s.healthy and s.pid not in killed for s in lab.status() if s.name == name),
            "it runs",
            PATIENCE_S,
        )
    lab.stop_sending()
    after = lab.ledger(wait_s=PATIENCE_S)
    assert after.rows > before.rows + 100
    assert after.lost == 0, after
    lab.close()


def test_debezium_server_in_a_container_is_unprivileged_and_no_file_of_it_has_a_password(known: Known) -> None:
    lab = started("compose", "server")
    servers = [status for status in lab.status() if status.name.startswith("server-")]
    assert [status.name for status in servers] == ["server-csv", "server-bytes"]
    for status in servers:
        assert status.pid is not None
        assert psutil.Process(status.pid).uids().real != 0
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{status.pid}/status").read_text()
    ports = set(lab.endpoints.server_ports.values())
    listening = [c.laddr for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port in ports]
    assert {(address.ip, address.port) for address in listening} == {("127.0.0.1", port) for port in ports}
    for route in ("csv", "bytes"):
        file = lab.settings.home / "server" / route / debezium_server.PROPERTIES
        assert lab.endpoints.capture_password not in file.read_text()
    with pytest.raises(LabError, match="in a container does not see"):
        lab.capture("http")
    # One that was captured elsewhere waits: it keeps nobody from starting here.
    Captured(lab.settings).add("http")
    lab.up(lambda _: None)
    lab.release("http")
    lab.release("csv")
    assert {status.name: status.state for status in lab.status()}["server-csv"] == "stopped"
    lab.close()
