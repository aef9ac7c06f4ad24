"""What became of one row of the test table: its change events and its predictions, read from Kafka."""

from labkit.capture.event import ChangeEvent
from labkit.course.answers import whole_number
from labkit.course.verdict import WrongAnswer
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import read_predictions
from labkit.settings import BYTES_PREFIX, TEST_TABLE, table_topic
from labkit.stream.events import decode_event
from labkit.stream.reading import read_to_present_end

ARRIVAL_S = 20.0
"""How long a check waits until all that was committed has arrived."""


def existing_row(answer: object, lab: Lab) -> int:
    """A row id that ``mnist_test`` holds now, or has held.

    Raises:
        WrongAnswer: It is no row id.
    """
    row_id = whole_number(answer, "a row id")
    if row_id not in lab.tables.labels(TEST_TABLE) and not _arrived_events(row_id, lab):
        raise WrongAnswer(f"mnist_test has no row {row_id}. The dashboard shows the ids, and lab.insert returns one.")
    return row_id


def events_of(row_id: int, lab: Lab) -> list[ChangeEvent]:
    """All change events of a row, oldest first, once everything committed so far has arrived; never none.

    Raises:
        LabError: None has arrived in time.
    """
    events = _arrived_events(row_id, lab)
    if not events:
        raise LabError(f"no change event of row {row_id} has arrived after {ARRIVAL_S:.0f} s", "labkit status")
    return events


def _arrived_events(row_id: int, lab: Lab) -> list[ChangeEvent]:
    lab.ledger(wait_s=ARRIVAL_S)
    events: list[ChangeEvent] = []
    for record in read_to_present_end(lab.kafka, table_topic(BYTES_PREFIX, TEST_TABLE)):
        try:
            event = decode_event(record)
        except LabError:
            continue  # A foreign record is nobody's change event; the ledger counts it.
        if event.row_id == row_id:
            events.append(event)
    return events


def predictions_of(rows: set[int], lab: Lab) -> list[Prediction]:
    """All predictions of some rows, oldest first, once everything committed so far has arrived; of each row some.

    Raises:
        LabError: A row's has not arrived in time.
    """
    lab.ledger(wait_s=ARRIVAL_S)
    predictions = [prediction for prediction in read_predictions(lab.kafka)[0] if prediction.row_id in rows]
    missing = rows - {prediction.row_id for prediction in predictions}
    if missing:
        raise LabError(f"row {min(missing)} has not been predicted after {ARRIVAL_S:.0f} s", "labkit status")
    return predictions
