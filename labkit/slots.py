"""The replication slots that the lab's routes read: which of them is lost, and with it the changes since."""

from labkit.capture.configs import load_config
from labkit.capturing import Captured, Capturing
from labkit.database import DigitTables
from labkit.settings import CAPTURE_ROUTES, HTTP_ROUTE, Settings, load_endpoints

MEND = "labkit mend"
"""The command that reads the tables anew, by a new slot."""
HTTP_AGAIN = f"lab.release({HTTP_ROUTE!r}), then lab.capture({HTTP_ROUTE!r}): it goes on from now"
"""The route without Kafka takes no snapshot: what it has missed, it has missed."""


def remedy(route: str) -> str:
    """What to do about a route's lost slot."""
    return HTTP_AGAIN if route == HTTP_ROUTE else MEND


def lost_slots(tables: DigitTables, settings: Settings) -> dict[str, str]:
    """Routes whose slot PostgreSQL has given up, or somebody has dropped: by route, what is wrong.

    Debezium may wait for such a slot without a word, and end only after half an hour.

    Raises:
        LabError: PostgreSQL is away.
    """
    slots = tables.slots()
    captured = Captured(settings).routes() or ()
    found: dict[str, str] = {}
    for route in (*CAPTURE_ROUTES, HTTP_ROUTE):
        slot = load_config(route, load_endpoints(settings), settings).slot
        if slot not in slots and route in captured:
            found[route] = f"its replication slot {slot!r} is gone"
        elif reason := slots.get(slot):
            found[route] = f"its replication slot {slot!r} is lost ({reason})"
    return found


def capture_problem(tables: DigitTables, capturing: Capturing, settings: Settings) -> str:
    """What keeps changes from being captured, in one line with the command that mends it; empty where all is well.

    Raises:
        LabError: PostgreSQL or Kafka Connect is away.
    """
    for route, words in lost_slots(tables, settings).items():
        return f"route {route!r}: {words}, and changes since are not captured → {remedy(route)}"
    for service in capturing.status():
        if service.state == "failed":
            return f"connector {service.name} has failed: {service.note} → {MEND}"
    return ""
