"""The ledger: rows against events against predictions, by id. What was lost, what was counted twice?"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from labkit.capture.event import ChangeEvent, Operation, format_lsn
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
    "rows without event, out of date or gone without one: labkit logs connect says why; labkit mend records them anew"
)
BEGIN_AGAIN = "no event can mend it any more; to begin anew, without the old rows: labkit down, then labkit up"
COUNTED_ONCE = "captured, repeated or predicted twice, as after tables were read anew: the score counts each row once"
OUT_OF_ORDER = f"a row's changes were recorded in another order than they were committed in: {BEGIN_AGAIN}"
WRONG_SCORE = f"the score is not that of the table: {BEGIN_AGAIN}"


Kind = Literal[
    "row without event",
    "row out of date",
    "row gone without event",
    "row captured twice",
    "event repeated",
    "event out of order",
    "event without prediction",
    "event predicted twice",
]
EXPLANATIONS: Mapping[Kind, str] = {
    "row without event": "it was committed, and its insert is not recorded so far",
    "row out of date": "a later change of it was committed, and is not recorded so far",
    "row gone without event": "it was deleted, and that is not recorded so far",
    "row captured twice": "it was read anew, as by a second snapshot: the score counts it once",
    "event repeated": "the same change was recorded again, as after a crash of what captures: the score counts it once",
    "event out of order": "it was recorded after a later change of its row, which the score takes for older",
    "event without prediction": "it was recorded, and is not scored so far",
    "event predicted twice": "two scorers have scored it, or one did so again after a crash: the score counts it once",
}

COMMITTED_ONLY: Collection[Kind] = ("row without event", "row out of date")
"""Changes of which PostgreSQL's table tells, and no event."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One change that did not go its whole way once, and in order.

    Attributes:
        kind: What happened to it.
        row_id: Its row.
        operation: Debezium's code of the change; None for a change of which there is no event.
        lsn: Where the change is in PostgreSQL's write-ahead log, as PostgreSQL prints it. Of a change without event
            that is not known: of its row's newest event, or None.
        transaction: PostgreSQL's id of the transaction. Of a change without event the one that wrote the row's present
            version (``xmin``); None where nobody knows.
        place: ``partition@offset`` of the event, or of the row's newest one.
        explanation: What it was, for people.
    """

    kind: Kind
    row_id: int
    operation: Operation | None
    lsn: str | None
    transaction: int | None
    place: str | None
    explanation: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of one table. Lists hold row ids, or ``partition@offset`` of events; of repeated ones the change.

    Attributes:
        rows: Rows in the table now.
        events: Change events in Kafka.
        predictions: Predictions in Kafka.
        rows_without_event: Rows whose insert or snapshot never became an event.
        rows_out_of_date: Rows whose newest event tells another label than the table, or that it was deleted.
        rows_gone_without_event: Rows that the table no longer has, and no event says so.
        rows_captured_twice: Rows with more than one insert or snapshot event.
        events_repeated: Changes (row, operation, LSN) that stand in Kafka more than once.
        events_out_of_order: Events that were recorded after a later change of the same row, by its LSN.
        events_without_prediction: Events the scorer has not recorded.
        events_predicted_twice: Events with more than one prediction.
        ids_never_seen: Ids, or ranges of them, that were drawn for rows of which there is neither row nor event: their
            insert was taken back, or they were inserted and deleted while nobody captured.
        foreign_records: Records in the two topics that are neither event nor prediction.
        counted: Rows in the running score.
        accuracy: Running accuracy; None before the first counted row.
        score_agrees: Whether the running score equals one computed from the table anew.
        faults: Each fault of all the lists, with all that is known of it.
    """

    rows: int
    events: int
    predictions: int
    rows_without_event: list[int]
    rows_out_of_date: list[int]
    rows_gone_without_event: list[int]
    rows_captured_twice: list[int]
    events_repeated: list[str]
    events_out_of_order: list[str]
    events_without_prediction: list[str]
    events_predicted_twice: list[str]
    ids_never_seen: list[str]
    foreign_records: int
    counted: int
    accuracy: float | None
    score_agrees: bool
    faults: list[Fault]

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
        """Nothing lost, nothing counted twice, each row's changes in order, and the score right."""
        return not self.faults and self.score_agrees

    @property
    def advice(self) -> list[str]:
        """What to do next, a line for each kind of fault; empty where the account balances."""
        kinds = (
            (self.lost, UNDER_WAY),
            (self.events_without_prediction, SCORE_AGAIN),
            (self.rows_without_event or self.rows_out_of_date or self.rows_gone_without_event, CAPTURE_AGAIN),
            (self.duplicated, COUNTED_ONCE),
            (self.events_out_of_order, OUT_OF_ORDER),
            (self.lost == 0 and not self.score_agrees, WRONG_SCORE),
        )
        return [words for fault, words in kinds if fault]

    def with_transactions(self, transactions: Mapping[int, int]) -> "Ledger":
        """The same, with the transactions of changes that only the table tells of.

        Args:
            transactions: The transaction that wrote the present version of a row, by the row's id.
        """
        faults = [
            replace(fault, transaction=transactions.get(fault.row_id)) if fault.kind in COMMITTED_ONLY else fault
            for fault in self.faults
        ]
        return replace(self, faults=faults)

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
    account = balance(
        labels, events, [p for p in predictions if p.table == table], foreign + no_predictions, tables.highest_id(table)
    )
    unknown = [fault.row_id for fault in account.faults if fault.kind in COMMITTED_ONLY]
    return account.with_transactions(tables.transactions(unknown, table)) if unknown else account


def balance(
    labels: Mapping[int, int | None],
    events: Iterable[ChangeEvent],
    predictions: Iterable[Prediction],
    foreign: int = 0,
    highest_id: int = 0,
) -> Ledger:
    """Balance one table's account.

    Args:
        labels: Label of each row in the table now, by id.
        events: All its change events, in the order of their offsets.
        predictions: All its predictions, in the order of their offsets.
        foreign: Records that were neither.
        highest_id: The highest id that was ever drawn for a row.
    """
    events, predictions = list(events), list(predictions)
    newest = {event.row_id: event for event in events}
    captured = [event for event in events if event.operation in ("c", "r")]
    created = {event.row_id for event in captured}
    # With the LSN: a topic that was deleted and made anew uses the offsets of the one before once more.
    scored = Counter((prediction.partition, prediction.offset, prediction.lsn) for prediction in predictions)
    times_scored = [(event, scored[event.partition, event.offset, event.lsn]) for event in events]
    changes, repeated = _first_and_again(events, _change)
    of_events: Mapping[Kind, Sequence[ChangeEvent]] = {
        "row captured twice": _first_and_again(captured, lambda event: event.row_id)[1],
        "event repeated": repeated,
        "event out of order": _out_of_order(changes),
        "event without prediction": [event for event, times in times_scored if times == 0],
        "event predicted twice": [event for event, times in times_scored if times > 1],
    }
    of_rows: Mapping[Kind, Collection[int]] = {
        "row without event": [row_id for row_id in labels if row_id not in created],
        "row out of date": [
            row_id
            for row_id, label in labels.items()
            if row_id in newest and (newest[row_id].operation == "d" or newest[row_id].label != label)
        ],
        "row gone without event": [
            row_id for row_id, event in newest.items() if row_id not in labels and event.operation != "d"
        ],
    }
    faults = [_row_fault(kind, row_id, newest.get(row_id)) for kind, rows in of_rows.items() for row_id in sorted(rows)]
    faults += [_event_fault(kind, event) for kind, found in of_events.items() for event in found]

    def rows_of(kind: Kind) -> list[int]:
        return sorted({fault.row_id for fault in faults if fault.kind == kind})

    def places_of(kind: Kind) -> list[str]:
        return sorted({_place(event) for event in of_events[kind]})

    score = ProgressiveScore()
    for prediction in predictions:
        score.update(prediction)
    result = score.result()
    return Ledger(
        rows=len(labels),
        events=len(events),
        predictions=len(predictions),
        rows_without_event=rows_of("row without event"),
        rows_out_of_date=rows_of("row out of date"),
        rows_gone_without_event=rows_of("row gone without event"),
        rows_captured_twice=rows_of("row captured twice"),
        events_repeated=sorted(
            {
                f"row {event.row_id}, {event.operation}, LSN {format_lsn(event.lsn)}"
                for event in of_events["event repeated"]
            }
        ),
        events_out_of_order=places_of("event out of order"),
        events_without_prediction=places_of("event without prediction"),
        events_predicted_twice=places_of("event predicted twice"),
        ids_never_seen=_gaps({*labels, *newest}, highest_id),
        foreign_records=foreign,
        counted=result.counted,
        accuracy=result.accuracy,
        score_agrees=recompute(labels, predictions) == (score.counted, score.correct),
        faults=faults,
    )


def _change(event: ChangeEvent) -> tuple[int, Operation, int]:
    """What makes two events the same change."""
    return event.row_id, event.operation, event.lsn


def _place(event: ChangeEvent) -> str:
    return f"{event.partition}@{event.offset}"


def _first_and_again(
    events: Iterable[ChangeEvent], of: Callable[[ChangeEvent], Hashable]
) -> tuple[list[ChangeEvent], list[ChangeEvent]]:
    """The events that are the first of their kind, and those that are not."""
    seen: set[Hashable] = set()
    first: list[ChangeEvent] = []
    again: list[ChangeEvent] = []
    for event in events:
        (again if of(event) in seen else first).append(event)
        seen.add(of(event))
    return first, again


def _out_of_order(changes: Iterable[ChangeEvent]) -> list[ChangeEvent]:
    """Of changes that each stand there once, those with a smaller LSN than an earlier one of the same row.

    Of one row the changes are in the log in the order in which they were committed: a second transaction waits for the
    first one's end. Of several rows they need not be. A row that a snapshot read has the snapshot's LSN, and of a
    transaction that was open then the change has a smaller one: such an event says nothing of the order.
    """
    highest: dict[int, int] = {}
    found: list[ChangeEvent] = []
    for event in changes:
        before = highest.get(event.row_id, 0)
        if event.lsn < before:
            found.append(event)
        if event.operation != "r":
            highest[event.row_id] = max(event.lsn, before)
    return found


def _gaps(known: Collection[int], highest: int) -> list[str]:
    """Which of the numbers 1 to ``highest`` are not known, as ``7`` or ``7–9``."""
    found: list[str] = []
    before = 0
    for number in [*sorted(number for number in known if number <= highest), highest + 1]:
        first, last = before + 1, number - 1
        if first <= last:
            found.append(str(first) if first == last else f"{first}–{last}")
        before = number
    return found


def _event_fault(kind: Kind, event: ChangeEvent) -> Fault:
    return Fault(
        kind, event.row_id, event.operation, format_lsn(event.lsn), event.transaction, _place(event), EXPLANATIONS[kind]
    )


def _row_fault(kind: Kind, row_id: int, newest: ChangeEvent | None) -> Fault:
    lsn, place = (None, None) if newest is None else (format_lsn(newest.lsn), _place(newest))
    return Fault(kind, row_id, None, lsn, None, place, EXPLANATIONS[kind])
