"""What an engine that scores does, as its lessons show it: when its predictions can be read, and what waits."""

import time

import psutil

from labkit.course.capture_figures import Arrivals
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import recorded_predictions
from labkit.settings import PREDICTIONS_TOPIC, SCORER

PATIENCE_S = 180.0
LOOK_S = 0.5


def readable_after_ms(lab: Lab, count: int, rate: float) -> list[float]:
    """Send digits, and tell of each how long after its commit a reader of committed records had its prediction.

    Args:
        lab: A lab that scores.
        count: How many digits.
        rate: Digits a second.

    Returns:
        Milliseconds, in the order in which the digits were sent.
    """
    with Arrivals(lab.kafka, PREDICTIONS_TOPIC) as arrivals:
        # `Arrivals` has a clock that nobody sets; commits are told by the one on the wall.
        wall_minus_monotonic = time.time() - time.monotonic()
        rows = lab.sender.send(count, rate)
        arrivals.wait(rows)
    committed = {p.row_id: p.committed_ms for p, _ in recorded(lab)}
    return [1000 * (arrivals.seen[row] + wall_minus_monotonic) - committed[row] for row in rows]


def recorded(lab: Lab) -> list[tuple[Prediction, int]]:
    """All predictions, each with the offset of its own record in the predictions topic."""
    return [(prediction, record.offset) for prediction, record in recorded_predictions(lab.kafka)]


def waiting(lab: Lab, timeout_s: float = PATIENCE_S) -> list[tuple[float, int]]:
    """How many changes wait for their prediction, looked at twice a second until none does.

    Returns:
        Pairs of seconds since the call, and changes.

    Raises:
        LabError: Some still wait after that time.
    """
    began = time.monotonic()
    found: list[tuple[float, int]] = []
    while not found or found[-1][1] > 0:
        found.append((time.monotonic() - began, lab.ledger().lost))
        if time.monotonic() - began > timeout_s:
            raise LabError(f"{found[-1][1]} changes still wait after {timeout_s:.0f} s", "labkit logs scorer")
        time.sleep(LOOK_S)
    return found


def java_of_scorer(lab: Lab) -> psutil.Process:
    """The Java process of the engine that scores.

    Raises:
        LabError: There is none.
    """
    for service in lab.stack.status():
        if service.name == SCORER and service.pid:
            for process in psutil.Process(service.pid).children(recursive=True):
                if process.name() == "java":
                    return process
    raise LabError("no engine scores", "run the lesson's cells in order")
