"""What the sender refuses before it sends, and what it says when the database is away."""

import socket
import time
from typing import Any

import numpy as np
import pytest

from labkit.database import DigitTables
from labkit.digits import Digits
from labkit.errors import LabError
from labkit.sender import MAX_RATE, MIN_RATE, SampleSender, check_rate
from labkit.settings import Endpoints

DIGITS = Digits(np.zeros((3, 28, 28), np.uint8), np.arange(3, dtype=np.uint8), "black")


@pytest.fixture
def sender() -> SampleSender:
    """A sender whose database is away: nobody listens at its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    endpoints = Endpoints(
        postgres_port=port,
        kafka_port=1,
        source_port=1,
        connect_port=1,
        admin_password="none",
        capture_password="none",
    )
    return SampleSender(DigitTables(endpoints, patience_s=0), DIGITS)


@pytest.mark.parametrize(
    "rate",
    [0, -1, -0.5, MIN_RATE / 2, 5e-324, 2000, 10**400, float("nan"), float("inf"), True, "5", None, 1j],
    ids=lambda rate: str(rate)[:8],
)
def test_rate_that_cannot_be_kept_is_refused_by_value(rate: Any, sender: SampleSender) -> None:
    for take in (check_rate, sender.start, lambda rate: sender.send(1, rate)):
        with pytest.raises(LabError) as refusal:
            take(rate)
        assert f"a rate of {rate!r} digits" in refusal.value.problem
        assert refusal.value.fix == "a number from 0.001 to 1000"
    assert not sender.sending


@pytest.mark.parametrize("rate", [MIN_RATE, 1, 2.5, MAX_RATE])
def test_rate_within_the_limits_is_taken_as_it_is(rate: float) -> None:
    assert check_rate(rate) == rate


@pytest.mark.parametrize("count", [-1, 2.0, True, "3", None], ids=repr)
def test_count_that_makes_no_sense_is_refused_by_value(count: Any, sender: SampleSender) -> None:
    with pytest.raises(LabError, match="digits cannot be sent") as refusal:
        sender.send(count, 5)
    assert repr(count) in refusal.value.problem


def test_no_digits_to_send_is_done_at_once(sender: SampleSender) -> None:
    assert sender.send(0, MIN_RATE) == []
    assert sender.sent == 0


def test_sender_without_samples_is_refused() -> None:
    with pytest.raises(LabError, match="no digits to send"):
        SampleSender(DigitTables(Endpoints.model_construct()), DIGITS.take(0))


def test_database_that_is_away_is_told_by_send(sender: SampleSender) -> None:
    with pytest.raises(LabError, match="PostgreSQL"):
        sender.send(2, 100)
    assert sender.sent == 0


def test_database_that_is_away_stops_the_background_thread_with_its_reason(sender: SampleSender) -> None:
    sender.start(100)
    deadline = time.monotonic() + 20
    while sender.sending and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not sender.sending
    assert "PostgreSQL" in sender.problem
    assert sender.sent == 0


def test_start_forgets_the_old_problem_and_stop_ends_the_thread(sender: SampleSender) -> None:
    sender.problem = "old"
    sender.start(MIN_RATE)
    sender.stop()
    assert sender.problem != "old"
    assert not sender.sending
    sender.stop()
