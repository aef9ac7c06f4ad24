"""How an engine's job is, as it tells itself, in a file of the lab's folder."""

import os
import time
from pathlib import Path

from pydantic import BaseModel

from labkit.settings import Settings

PROGRESS = "progress.json"


class Progress(BaseModel):
    """How a job is.

    Attributes:
        lag: Change events that wait; None where the job does not know.
        checkpoint_s: When it last noted how far it is, seconds since the Unix epoch.
    """

    lag: int | None
    checkpoint_s: float

    def write(self, path: Path) -> None:
        """Leave it for `labkit status`; a reader sees the old one or the new."""
        staging = path.with_suffix(".new")
        staging.write_text(self.model_dump_json())
        os.replace(staging, path)

    @property
    def words(self) -> str:
        """In one line."""
        lag = "" if self.lag is None else f"lag {self.lag}, "
        return f"{lag}checkpoint {max(0.0, time.time() - self.checkpoint_s):.0f} s ago"


def job_folder(settings: Settings, name: str) -> Path:
    """What a job keeps of this lab: its checkpoint, and what else it needs. One that scores is called as its engine."""
    return settings.home / "engines" / name


def read_progress(folder: Path) -> Progress | None:
    """How the job of a folder is, as it told last; None before it did."""
    try:
        return Progress.model_validate_json((folder / PROGRESS).read_text())
    except (OSError, ValueError):
        return None
