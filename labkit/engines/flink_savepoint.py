"""The savepoint that a stopped Flink job leaves, and whether its successor can go on from it."""

import logging
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from labkit.errors import LabError

log = logging.getLogger("labkit.engines.flink")

SAVEPOINT_NOTE = "savepoint.json"
CHECKPOINTS, SAVEPOINTS = "checkpoint", "savepoints"
"""Folders below the job's."""
FIRST_LAYOUT = 1
"""A job has another one once it has changed so that it cannot go on from what it had written before."""


WRITER_NOTE = "written_by.json"
WRITER = TypeAdapter(tuple[str, int])
"""Who wrote the checkpoints of a job: the version of Flink, and the job's layout."""


class Savepoint(BaseModel):
    """What a stopped job left.

    Attributes:
        path: Flink's savepoint.
        flink: The version of Flink that wrote it.
        layout: Of the job that wrote it.
        reached: How far the job was, in whatever it counts.
    """

    path: str
    flink: str
    layout: int
    reached: Mapping[str, int]


def flink_version() -> str:
    """Of the packages that this process runs."""
    return version("apache-flink")


def leave_savepoint(folder: Path, path: str, reached: Mapping[str, int]) -> None:
    """Note what a stopped job has left, for its successor.

    Args:
        folder: The job's.
        path: Flink's savepoint.
        reached: How far scoring is, as `take_savepoint` compares it.
    """
    left = Savepoint(path=path, flink=flink_version(), layout=FIRST_LAYOUT, reached=reached)
    (folder / SAVEPOINT_NOTE).write_text(left.model_dump_json())


def take_savepoint(folder: Path, reached: Mapping[str, int]) -> str | None:
    """The savepoint to go on from, if the last run left one and nothing has happened since. It is used once.

    Args:
        folder: The job's.
        reached: How far scoring is by what is recorded: that is authoritative.
    """
    note = folder / SAVEPOINT_NOTE
    try:
        left = Savepoint.model_validate_json(note.read_text())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError, UnicodeDecodeError):
        left = None
    note.unlink()
    beginning = "; beginning behind the last recorded prediction"
    if left is None:
        log.warning("the note of the last savepoint is damaged%s", beginning)
    elif (left.flink, left.layout) != (flink_version(), FIRST_LAYOUT):
        log.warning("the last savepoint is of Flink %s, layout %d, and this is Flink %s, layout %d%s",
                    left.flink, left.layout, flink_version(), FIRST_LAYOUT, beginning)  # fmt: skip
    elif dict(left.reached) != dict(reached):
        log.info("somebody else has scored since the last savepoint%s", beginning)
    elif not Path(left.path.removeprefix("file:"), "_metadata").is_file():
        log.warning("the last savepoint, %s, is gone%s", left.path, beginning)
    else:
        return left.path
    return None


def newest_state(folder: Path, begin_anew: str, layout: int = FIRST_LAYOUT) -> str | None:
    """The newest savepoint or checkpoint of earlier runs, to go on from; what else they left is removed.

    For a job whose only account of how far it is are Flink's own checkpoints: without them it would miss changes, or
    count them twice. So what cannot be read is left as it is, and the job does not start.

    Args:
        folder: The job's; a note in it says which Flink wrote what is there.
        begin_anew: The command that gives them up.
        layout: The job's.

    Raises:
        LabError: They are of another Flink, or of another version of the job, or nobody knows.
    """
    note, this = folder / WRITER_NOTE, (flink_version(), layout)
    found = sorted((path.parent for path in folder.rglob("_metadata")), key=lambda state: state.stat().st_mtime)
    if found and (writer := _writer(note, this)) != this:
        here = f"this is Flink {this[0]}, layout {this[1]}, and leaves it as it is"
        if writer is None:
            raise LabError(
                f"nobody knows which Flink has written the last checkpoint, as {note} is damaged; {here}",
                f"if it was this one: rm '{note}'; otherwise give the checkpoint up: {begin_anew}",
            )
        raise LabError(
            f"the last checkpoint is of Flink {writer[0]}, layout {writer[1]}; {here}",
            f"go on with the labkit that wrote it, or give it up: {begin_anew}",
        )
    if not found or not note.is_file():
        note.write_bytes(WRITER.dump_json(this))
    newest = found[-1] if found else None
    forget_states(folder, but=newest)
    return None if newest is None else newest.as_uri()


def _writer(note: Path, this: tuple[str, int]) -> tuple[str, int] | None:
    """Who wrote the states of a job, of whom the first labkits made no note; None where the note is damaged."""
    try:
        return WRITER.validate_json(note.read_text())
    except FileNotFoundError:
        return this[0], FIRST_LAYOUT
    except (ValidationError, OSError, UnicodeDecodeError):
        return None


def forget_states(folder: Path, but: Path | None = None) -> None:
    """Remove the savepoints and checkpoints of earlier runs.

    Args:
        folder: The job's.
        but: One of them that stays.
    """
    for left in (*folder.glob(f"{CHECKPOINTS}/*"), *folder.glob(f"{SAVEPOINTS}/*")):
        if but is None or not but.is_relative_to(left):
            shutil.rmtree(left)
