"""What a check says where the stream has stopped: that it cannot know, and where to look. Never a traceback."""

from collections.abc import Iterator

import pytest
import requests

from labkit import Lab
from labkit.capture.configs import load_config
from labkit.course import faults, first_digit, live_dashboard, row_history
from labkit.digits import render_strokes

ONE = render_strokes([[(0.5, 0.2), (0.5, 0.8)]], width=0.08)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come will not come: there is no need to wait long for it."""
    monkeypatch.setattr(row_history, "ARRIVAL_S", 1.0)


@pytest.fixture
def stopped_scorer(scoring_lab: Lab) -> Iterator[Lab]:
    """The lab while somebody has stopped the scorer."""
    scoring_lab.settle(timeout_s=120)
    scoring_lab.stop_scorer()
    yield scoring_lab
    scoring_lab.start_scorer()
    scoring_lab.settle(timeout_s=120)  # It loads TensorFlow first.


@pytest.fixture
def stopped_connector(scoring_lab: Lab) -> Iterator[Lab]:
    """The lab while somebody has paused the connector that the scorer's events come by."""
    lab = scoring_lab
    lab.settle(timeout_s=120)
    name = load_config("bytes", lab.endpoints, lab.settings).name
    status = lab.connect.status

    def ask_for(change: str, state: str) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.put(f"{lab.endpoints.connect}/connectors/{name}/{change}", timeout=30).raise_for_status()
        lab.wait_until(lambda: {task["state"] for task in (status(name) or {})["tasks"]} == {state}, f"it is {state}")

    ask_for("pause", "PAUSED")
    yield lab
    ask_for("resume", "RUNNING")
    lab.settle(timeout_s=120)


def test_a_digit_that_is_not_predicted(stopped_scorer: Lab) -> None:
    lab = stopped_scorer
    row_id = lab.insert(ONE, None)
    lab.relabel(row_id, 1)
    for verdict in (
        live_dashboard.labelled_late(row_id, lab),
        live_dashboard.misread(row_id, lab),
        faults.counts_now(row_id, lab),
        first_digit.median_delay_ms(12.0, lab, [row_id]),
    ):
        assert verdict.kind == "unchecked"
        assert f"row {row_id} has not been predicted" in verdict.words and "labkit status" in verdict.words


def test_a_digit_whose_changes_do_not_come(stopped_connector: Lab) -> None:
    lab = stopped_connector
    row_id = lab.insert(ONE, 7)
    for verdict in (
        first_digit.corrected(row_id, lab),
        first_digit.change_events(2, lab, row_id),
        live_dashboard.labelled_late(row_id, lab),
    ):
        assert verdict.kind == "unchecked"
        assert f"no change event of row {row_id}" in verdict.words and "labkit status" in verdict.words
