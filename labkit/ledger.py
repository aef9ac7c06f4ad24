"""The ledger: rows against events against predictions, by id. What was lost, what was counted twice?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labkit.capture.event import ChangeEvent
from labkit.database import DigitTables
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import read_predictions
from labkit.model.score import ProgressiveScore, recompute
from labkit.settings import BYTES_PREFIX, TEST_TABLE, table_topic
from labkit.stream.events import NotADigitError, decode_event
from labkit.stream.reading import read_to_present_end

UNDER_WAY = "what is under way counts as lost; once the stream rests: labkit ledger --wait 30; where it stays:"
SCORE_AGAIN = "events without prediction: labkit status, and labkit logs scorer; started again, it goes on where it was"
CAPTURE_AGAIN = (
    "rows without event or out of date: labkit logs connect says why; then in a notebook lab.release('bytes') and "
    "lab.capture(), which read the tables anew"
)
BEGIN_AGAIN = "no event can mend it any more; to begin anew, without the old rows: labkit down, then labkit up"
GONE = f"rows gone without event: {BEGIN_AGAIN}"
COUNTED_ONCE = "captured, repeated or predicted twice, as after tables were read anew: the score counts each row once"
WRONG_SCORE = f"the score is not that of the table: {BEGIN_AGAIN}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of one table. Lists hold row ids, or ``partition@offset`` of events.

    Attributes:
        rows: Rows in the table now.
        events: Change events in Kafka.
        predictions: Predictions in Kafka.
        rows_without_event: Rows whose insert or snapshot never became an event.
        rows_out_of_date: Rows whose newest event tells another label than the table, or that it was deleted.
        rows_gone_without_event: Rows that the table no longer has, and no event says so.
        rows_captured_twice: Rows with more than one insert or snapshot event.
        events_repeated: Changes (row, operation, LSN) that stand in Kafka more than once.
        events_without_prediction: Events the scorer has not recorded.
        events_predicted_twice: Events with more than one prediction.
        foreign_records: Records in the two topics that are neither event nor prediction.
        counted: Rows in the running score.
        accuracy: Running accuracy; None before the first counted row.
        score_agrees: Whether the running score equals one computed from the table anew.
    """

    rows: int
    events: int
    predictions: int
    rows_without_event: list[int]
    rows_out_of_date: list[int]
    rows_gone_without_event: list[int]
    rows_captured_twice: list[int]
    events_repeated: list[str]
    events_without_prediction: list[str]
    events_predicted_twice: list[str]
    foreign_records: int
    counted: int
    accuracy: float | None
    score_agrees: bool

    @property
    def lost(self) -> int:
        """Changes that did not make the whole way."""
        return sum(
            len(missing)
            for missing in (
                self.rows_without_event,
                self.rows_out_of_date,
                self.rows_gone_without_event,
                self.events_without_prediction,
            )
        )

    @property
    def duplicated(self) -> int:
        """Changes that were captured or scored more than once."""
        return len(self.rows_captured_twice) + len(self.events_repeated) + len(self.events_predicted_twice)

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing counted twice, and the score right."""
        return self.lost == 0 and self.duplicated == 0 and self.score_agrees

    @property
    def advice(self) -> list[str]:
        """What to do next, a line for each kind of fault; empty where the account balances."""
        kinds = (
            (self.lost, UNDER_WAY),
            (self.events_without_prediction, SCORE_AGAIN),
            (self.rows_without_event or self.rows_out_of_date, CAPTURE_AGAIN),
            (self.rows_gone_without_event, GONE),
            (self.duplicated, COUNTED_ONCE),
            (self.lost == 0 and not self.score_agrees, WRONG_SCORE),
        )
        return [words for fault, words in kinds if fault]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"lost": self.lost, "duplicated": self.duplicated, "balanced": self.balanced}


def take_ledger(tables: DigitTables, servers: str, table: str = TEST_TABLE) -> Ledger:
    """Read the table and both topics to their present ends, and balance them.

    The streams must have come to rest: what is under way counts as lost.

    Args:
        tables: The database.
        servers: Kafka's bootstrap servers.
        table: ``mnist_test``; the training table is not scored.

    Raises:
        LabError: A server is away.
    """
    labels = tables.labels(table)
    foreign = 0
    events: list[ChangeEvent] = []
    for record in read_to_present_end(servers, table_topic(BYTES_PREFIX, table)):
        try:
            events.append(decode_event(record))
        except NotADigitError:
            foreign += 1
    predictions, no_predictions = read_predictions(servers)
    return balance(labels, events, [p for p in predictions if p.table == table], foreign + no_predictions)


def balance(
    labels: Mapping[int, int | None], events: Iterable[ChangeEvent], predictions: Iterable[Prediction], foreign: int = 0
) -> Ledger:
    """Balance one table's account.

    Args:
        labels: Label of each row in the table now, by id.
        events: All its change events, in the order of their offsets.
        predictions: All its predictions, in the order of their offsets.
        foreign: Records that were neither.
    """
    events, predictions = list(events), list(predictions)
    newest = {event.row_id: event for event in events}
    created = Counter(event.row_id for event in events if event.operation in ("c", "r"))
    changes = Counter((event.row_id, event.operation, event.lsn) for event in events)
    # With the LSN: a topic that was deleted and made anew uses the offsets of the one before once more.
    scored = Counter((prediction.partition, prediction.offset, prediction.lsn) for prediction in predictions)
    known = {(event.partition, event.offset, event.lsn) for event in events}

    score = ProgressiveScore()
    for prediction in predictions:
        score.update(prediction)
    result = score.result()
    return Ledger(
        rows=len(labels),
        events=len(events),
        predictions=len(predictions),
        rows_without_event=sorted(row_id for row_id in labels if row_id not in created),
        rows_out_of_date=sorted(
            row_id
            for row_id, label in labels.items()
            if row_id in newest and (newest[row_id].operation == "d" or newest[row_id].label != label)
        ),
        rows_gone_without_event=sorted(
            row_id for row_id, event in newest.items() if row_id not in labels and event.operation != "d"
        ),
        rows_captured_twice=sorted(row_id for row_id, count in created.items() if count > 1),
        events_repeated=sorted(f"row {row}, {op}, LSN {lsn}" for (row, op, lsn), n in changes.items() if n > 1),
        events_without_prediction=sorted(f"{partition}@{offset}" for partition, offset, _ in known - scored.keys()),
        events_predicted_twice=sorted(f"{partition}@{offset}" for (partition, offset, _), n in scored.items() if n > 1),
        foreign_records=foreign,
        counted=result.counted,
        accuracy=result.accuracy,
        score_agrees=recompute(labels, predictions) == (score.counted, score.correct),
    )
