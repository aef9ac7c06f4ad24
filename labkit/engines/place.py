"""Where an engine runs, and how much of that its job may take."""

import re

from pydantic import BaseModel, ConfigDict, Field

from labkit.engines.catalog import LOCAL, Engine
from labkit.errors import LabError


class Place(BaseModel):
    """Where an engine runs, as `check_place` lets through.

    Attributes:
        master: ``local[2]`` for two threads of this machine, or the address of a cluster.
        parallelism: How many of a cluster's cores (Spark) or task slots (Flink) a job may take. None: as many as can
            share its work.
    """

    model_config = ConfigDict(frozen=True)

    master: str = "local[2]"
    parallelism: int | None = Field(default=None, ge=1)

    @property
    def is_here(self) -> bool:
        """Whether the engine runs within its job, not on a cluster."""
        return re.fullmatch(r"local(\[(\d+|\*)\])?", self.master) is not None

    @property
    def threads(self) -> int | None:
        """Of this machine, where it says how many."""
        found = re.fullmatch(r"local\[(\d+)\]", self.master)
        return int(found[1]) if found else None


HERE = Place()


def check_no_place(master: str, parallelism: int | None) -> None:
    """See that the lab's own scorer is not asked to run elsewhere.

    Raises:
        LabError: It is.
    """
    if master or parallelism is not None:
        raise LabError("the lab's own scorer runs here, in one process", f"labkit engine use {LOCAL}")


def check_place(engine: Engine, master: str = "", parallelism: int | None = None) -> Place:
    """Where an engine shall run, as it was asked for.

    Args:
        engine: Which.
        master: ``local[2]``, or the address of a cluster; this machine by default.
        parallelism: Threads of this machine, or cores or task slots of a cluster.

    Raises:
        LabError: It is no place for that engine, or has no such parallelism.
    """
    if parallelism is not None and parallelism < 1:
        raise LabError(f"a job runs in 1 or more at a time, not in {parallelism}", "such as --parallelism 2")
    place = Place(master=master or ("local" if parallelism else HERE.master), parallelism=parallelism)
    if not engine.place.fullmatch(place.master):
        raise LabError(f"{engine.title} cannot run at {master!r}", f"such as {engine.places}")
    if not place.is_here or parallelism is None:
        return place
    if place.master != "local" and place.threads != parallelism:
        raise LabError(
            f"{place.master} says how many threads, and the parallelism of {parallelism} says another number",
            "leave out one of the two",
        )
    return Place(master=f"local[{parallelism}]")
