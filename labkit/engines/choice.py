"""Which engine a lab scores with: noted in its folder, so that its supervisor and every start know."""

import os
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from labkit.engines.catalog import LOCAL
from labkit.errors import LabError
from labkit.settings import Settings


class EngineChoice(BaseModel):
    """What scores.

    Attributes:
        engine: ``local``, the lab's own scorer, or a name in `labkit.engines.catalog.ENGINES`.
        master: Where the engine runs: ``local[2]`` for two threads of this machine, or the address of a cluster.
    """

    engine: str = LOCAL
    master: str = Field(default="local[2]", min_length=1)


def chosen_engine(settings: Settings) -> EngineChoice:
    """What this lab scores with.

    Raises:
        LabError: The note of it is damaged.
    """
    path = _note(settings)
    try:
        return EngineChoice.model_validate_json(path.read_text())
    except FileNotFoundError:
        return EngineChoice()
    except (ValidationError, OSError, UnicodeDecodeError):
        raise LabError(f"{path} is damaged", f"labkit engine use {LOCAL}") from None


def choose_engine(settings: Settings, choice: EngineChoice) -> None:
    """Note what this lab scores with."""
    path = _note(settings)
    staging = path.with_suffix(".new")
    staging.write_text(choice.model_dump_json())
    os.replace(staging, path)


def _note(settings: Settings) -> Path:
    return settings.home / "engine.json"
