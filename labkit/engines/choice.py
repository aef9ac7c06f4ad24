"""Which engine a lab scores with: noted in its folder, so that its supervisor and every start know."""

import os
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from labkit.engines.catalog import LOCAL, Engine
from labkit.engines.place import HERE, Place, check_place
from labkit.errors import LabError
from labkit.settings import Settings


class EngineChoice(BaseModel):
    """What scores.

    Attributes:
        engine: ``local``, the lab's own scorer, or a name in `labkit.engines.catalog.ENGINES`.
        places: Where an engine runs, by its name. One that is not in it runs here.
    """

    engine: str = LOCAL
    places: dict[str, Place] = Field(default_factory=dict)

    def place_of(self, engine: str) -> Place:
        """Where an engine runs."""
        return self.places.get(engine, HERE)

    def asked_for(self, engine: Engine, master: str = "", parallelism: int | None = None) -> Place:
        """Where an engine runs that is asked to run elsewhere, or with more, for once.

        Args:
            engine: Which.
            master: Empty for where it runs by this choice.
            parallelism: None for what it has by this choice, if it runs there.

        Raises:
            LabError: As of `check_place`.
        """
        noted = self.place_of(engine.name)
        if not master and parallelism is None:
            return check_place(engine, noted.master, noted.parallelism)
        return check_place(engine, master or ("" if noted.is_here else noted.master), parallelism)


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
        raise LabError(f"{path} is damaged", f"delete it, then: labkit engine use {LOCAL}") from None


def choose_engine(settings: Settings, choice: EngineChoice) -> None:
    """Note what this lab scores with."""
    path = _note(settings)
    staging = path.with_suffix(".new")
    staging.write_text(choice.model_dump_json())
    os.replace(staging, path)


def _note(settings: Settings) -> Path:
    return settings.home / "engine.json"
