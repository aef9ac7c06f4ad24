"""Mends what the ledger finds missing, and counts again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labkit.database import DigitTables
from labkit.ledger import Ledger
from labkit.settings import BYTES_ROUTE, CAPTURE_ROUTES
from labkit.slots import remedy
from labkit.stack.base import Report


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done, and the account afterwards.

    Attributes:
        read_anew: Routes whose tables were read anew.
        restarted: Connectors that had failed and were started again.
        deleted_anew: Rows whose deletion had left no event and has one now.
        ledger: The account once all of that has arrived.
    """

    read_anew: Sequence[str]
    restarted: Sequence[str]
    deleted_anew: Sequence[int]
    ledger: Ledger

    @property
    def whole(self) -> bool:
        """Whether no change of a row is missing any more, and the running score is that of the table."""
        return self.ledger.lost == 0 and self.ledger.score_agrees


def mend(
    lost: Callable[[], dict[str, str]],
    restart: Callable[[], Sequence[str]],
    read_anew: Callable[[str], None],
    settled_ledger: Callable[[], Ledger],
    tables: DigitTables,
    report: Report,
) -> Mended:
    """Bring the account of ``mnist_test`` in order.

    A route whose replication slot is lost begins anew, and so does the bytes route where rows are missing though its
    slot is there: its snapshot tells of every row that the table holds. A row that was deleted meanwhile is in no
    snapshot; it is inserted once more, empty, and deleted at once, so that its deletion has an event.

    Args:
        lost: Tells which routes have lost their slot, and why.
        restart: Starts connectors that have failed again, and names them.
        read_anew: Lets a route begin anew.
        settled_ledger: Waits for what is under way, and takes the ledger.
        tables: The digit tables.
        report: Told of each step.
    """
    routes: list[str] = []

    def begin_anew(route: str, why: str) -> None:
        report(f"route {route}: {why}; reading its tables anew")
        read_anew(route)
        routes.append(route)

    for route, why in lost().items():
        if route in CAPTURE_ROUTES:
            begin_anew(route, why)
        else:
            report(f"route {route}: {why} → {remedy(route)}")
    restarted = restart()
    for name in restarted:
        report(f"connector {name} had failed and is started again")
    missing, gone, ledger = _missing(settled_ledger)
    if missing and BYTES_ROUTE not in routes:
        begin_anew(BYTES_ROUTE, f"{len(missing):,} rows have no event of their present state")
        _, gone, ledger = _missing(settled_ledger)
    gone = tables.delete_anew(gone)
    if gone:
        report(f"{len(gone):,} rows were deleted without an event: they are deleted once more")
        ledger = settled_ledger()
    return Mended(routes, restarted, gone, ledger)


def _missing(settled_ledger: Callable[[], Ledger]) -> tuple[list[int], list[int], Ledger]:
    """Rows of which no event tells the present state, those that are gone without event, and the ledger.

    While others write, a change may come between the ledger's look at the table and that at the events. What is missing
    twice in a row, with all recorded in between, is missing.
    """
    ledger = settled_ledger()
    if not _without_event(ledger) and not ledger.rows_gone_without_event:
        return [], [], ledger
    again = settled_ledger()
    return (
        sorted(_without_event(ledger) & _without_event(again)),
        sorted(set(ledger.rows_gone_without_event) & set(again.rows_gone_without_event)),
        again,
    )


def _without_event(ledger: Ledger) -> set[int]:
    return {*ledger.rows_without_event, *ledger.rows_out_of_date}
