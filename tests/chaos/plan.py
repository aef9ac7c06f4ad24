"""What happens in a run: which fault strikes which part in which phase, and when. A seed says all of it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "pause", "restart", "refuse", "fill the disk", "jump the clock"]
Part = Literal["postgres", "kafka", "connect", "server", "scorer", "kernel"]
Phase = Literal["snapshot", "inserts", "copy", "relabels and deletes", "one large transaction", "schema change"]

PARTS: Sequence[Part] = ("postgres", "kafka", "connect", "server", "scorer", "kernel")
PHASES: Sequence[Phase] = (
    "snapshot",
    "inserts",
    "copy",
    "relabels and deletes",
    "one large transaction",
    "schema change",
)
STRIKES: Mapping[Kind, Sequence[Part]] = {
    "kill": PARTS,
    "pause": PARTS,
    "restart": PARTS,
    "refuse": ("postgres", "kafka"),
    "fill the disk": ("postgres", "kafka"),
    "jump the clock": ("scorer", "kernel"),
}
"""The parts that each kind of fault can strike: who listens, who writes much, who asks for the time."""
# Mixed once and for all, so that a few seeds in a row meet every kind and every part.
PAIRS: Sequence[tuple[Kind, Part]] = random.Random(8).sample(
    [(kind, part) for kind, parts in STRIKES.items() for part in parts], sum(map(len, STRIKES.values()))
)
LATEST_S = 2.5


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes:
        seed: Makes the same plan again.
        phase: What is written meanwhile.
        kind: The fault.
        part: What it strikes.
        moment_s: Seconds from the beginning of the phase to the fault.
    """

    seed: int
    phase: Phase
    kind: Kind
    part: Part
    moment_s: float

    @property
    def capture(self) -> Literal["connect", "server"]:
        """What has to capture in a lab where this can happen."""
        return "server" if self.part == "server" else "connect"

    def __str__(self) -> str:
        return f"{self.kind}, {self.part}, {self.moment_s:.2f} s into: {self.phase}"


def plan(seed: int) -> Plan:
    """The plan of a seed.

    As many seeds in a row as there are pairs of fault and part meet each pair once; six times as many meet each pair in
    each phase once.
    """
    block, place = divmod(seed, len(PAIRS))
    kind, part = PAIRS[place]
    phase = PHASES[(place + block) % len(PHASES)]
    return Plan(seed, phase, kind, part, random.Random(seed).uniform(0.1, LATEST_S))
