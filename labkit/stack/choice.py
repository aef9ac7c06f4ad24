"""Which stack a lab has: the one that was asked for, else the one it had, else the embedded one."""

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ValidationError

from labkit.errors import LabError
from labkit.settings import CaptureName, Settings, StackName
from labkit.stack.base import Report, Stack
from labkit.stack.embedded import EmbeddedStack

STACKS: Mapping[StackName, Callable[[Settings], Stack]] = {"embedded": EmbeddedStack}

CAPTURES: Mapping[CaptureName, str] = {"connect": "Kafka Connect", "server": "Debezium Server"}


class Choice(BaseModel):
    """Who runs a lab's servers, and what runs Debezium there."""

    stack: StackName = "embedded"
    capture: CaptureName = "connect"


def remembered(settings: Settings) -> Choice | None:
    """What this lab was when it was last started; None for one that never was.

    Raises:
        LabError: The note of it is damaged.
    """
    path = settings.home / "choice.json"
    try:
        return Choice.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError, UnicodeDecodeError):
        raise LabError(f"{path} is damaged", f"delete it, then: labkit up --stack {' | '.join(STACKS)}") from None


def chosen(settings: Settings) -> Choice:
    """What the settings ask for; where they leave it open, what the lab was when it was last started."""
    before = remembered(settings) or Choice()
    return Choice(stack=settings.stack or before.stack, capture=settings.capture or before.capture)


def make_stack(settings: Settings) -> Stack:
    """The stack of a lab.

    Raises:
        LabError: The note of what it was is damaged.
    """
    choice = chosen(settings)
    return STACKS[choice.stack](settings.model_copy(update=choice.model_dump()))


def switch(settings: Settings, report: Report) -> None:
    """Stop what another choice has left running in this lab, data kept, and remember the present one."""
    before, now = remembered(settings), chosen(settings)
    if before is not None and before.stack != now.stack:
        report(f"this lab's {before.stack} stack is stopped, its data stay; from now on it is {now.stack}")
        STACKS[before.stack](settings).down(keep_data=True, report=report)
    elif before is not None and before.capture != now.capture:
        # Two that captured at once would write every change twice: the one stops before the other starts.
        report(f"from now on {CAPTURES[now.capture]} captures; the servers are started anew, the data stay")
        STACKS[now.stack](settings).down(keep_data=True, report=report)
    if before != now:
        settings.home.mkdir(parents=True, exist_ok=True)
        (settings.home / "choice.json").write_text(now.model_dump_json(indent=2))
