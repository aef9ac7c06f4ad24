"""Which stack a lab has: the one that was asked for, else the one it had, else the embedded one."""

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ValidationError

from labkit.errors import LabError
from labkit.settings import CaptureName, Settings, StackName
from labkit.stack.base import Report, Stack
from labkit.stack.compose import ComposeStack
from labkit.stack.embedded import EmbeddedStack
from labkit.stack.external import ExternalStack

STACKS: Mapping[StackName, Callable[[Settings], Stack]] = {
    "embedded": EmbeddedStack,
    "compose": ComposeStack,
    "external": ExternalStack,
}

CAPTURES: Mapping[CaptureName, str] = {"connect": "Kafka Connect", "server": "Debezium Server"}


class Choice(BaseModel):
    """Who runs a lab's servers, and what runs Debezium there.

    Attributes:
        used: Every stack this lab has been started with: each may have left data.
    """

    stack: StackName = "embedded"
    capture: CaptureName = "connect"
    used: tuple[StackName, ...] = ()


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
    stack = settings.stack or before.stack
    used = before.used if stack in before.used else (*before.used, stack)
    return Choice(stack=stack, capture=settings.capture or before.capture, used=used)


def make_stack(settings: Settings) -> Stack:
    """The stack of a lab.

    Raises:
        LabError: The note of what it was is damaged.
    """
    choice = chosen(settings)
    return STACKS[choice.stack](settings.model_copy(update=choice.model_dump(include={"stack", "capture"})))


def switch(settings: Settings, report: Report) -> None:
    """Stop what another choice has left running in this lab, data kept, and remember the present one.

    Raises:
        LabError: This machine cannot run what was chosen; then all stays as it was.
    """
    before, now = remembered(settings), chosen(settings)
    if now.capture == "server" and now.stack == "external":
        raise LabError(
            "servers that somebody else runs capture with Kafka Connect only",
            "labkit up --stack external --capture connect, or: labkit up --stack embedded --capture server",
        )
    if before is None or before.stack != now.stack:
        STACKS[now.stack](settings).check()
    if before is not None and before.stack != now.stack:
        report(f"this lab's {before.stack} stack is stopped, its data stay; from now on it is {now.stack}")
        try:
            STACKS[before.stack](settings).down(keep_data=True, report=report)
        except LabError as error:
            # Nobody shall be held by a Docker that is gone: at worst the ports are taken, and others are used.
            report(f"it could not be stopped: {error.problem}")
    elif before is not None and before.capture != now.capture:
        # Two that captured at once would write every change twice: the one stops before the other starts.
        report(f"from now on {CAPTURES[now.capture]} captures; the servers are started anew, the data stay")
        STACKS[now.stack](settings).down(keep_data=True, report=report)
    if before != now:
        settings.home.mkdir(parents=True, exist_ok=True)
        (settings.home / "choice.json").write_text(now.model_dump_json(indent=2))


def stop(settings: Settings, *, keep_data: bool, report: Report) -> None:
    """Stop a lab. Where the data go, those that it left with its other stack go, too.

    Raises:
        LabError: It cannot be stopped, such as without Docker; then nothing has been removed.
    """
    now = chosen(settings)
    if keep_data:
        STACKS[now.stack](settings).down(keep_data=True, report=report)
        return
    used = [make(settings) for name, make in STACKS.items() if name in now.used]
    for stack in used:
        stack.check()
    for stack in used:
        stack.down(report=report)
