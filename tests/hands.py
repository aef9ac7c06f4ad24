"""Digits as three people would draw them: templates of strokes, made without a look at any training digit."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Points = npt.NDArray[np.float64]
"""Shape (n, 2): x to the right, y downwards."""

A_CLASS = 10
MAX_POINTS = 40


@dataclass(frozen=True)
class Drawing:
    """One drawn digit.

    Attributes:
        label: The digit that was meant.
        hand: Whose it is: thin, thick or slanted.
        strokes: Points (x, y) in units of the pad, 0 to 1, y downwards; at most 40 a stroke.
        width: The brush's diameter in the same unit.
    """

    label: int
    hand: str
    strokes: list[list[tuple[float, float]]]
    width: float


@dataclass(frozen=True)
class Hand:
    """How someone writes: each pair is a range to draw from.

    Attributes:
        width: The brush's diameter, in units of the pad.
        height: The digit's height, in units of the pad.
        slant: How far its top leans to the right, as a share of its height.
    """

    name: str
    width: tuple[float, float]
    height: tuple[float, float]
    slant: tuple[float, float]


HANDS = (
    Hand("thin", (0.035, 0.045), (0.45, 0.80), (-0.05, 0.12)),
    Hand("thick", (0.110, 0.130), (0.58, 0.80), (-0.05, 0.12)),
    Hand("slanted", (0.060, 0.080), (0.50, 0.80), (0.25, 0.42)),
)


def drawn_digits(seed: int) -> list[Drawing]:
    """A hundred drawn digits, ten of each; the same seed gives the same ones."""
    random = np.random.default_rng(seed)
    return [
        _draw(label, HANDS[(label + index) % len(HANDS)], random) for label in range(10) for index in range(A_CLASS)
    ]


def _curve(*points: tuple[float, float]) -> Points:
    """A smooth line through some points, at a steady pace."""
    knots = np.array(points)
    pace = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    return CubicSpline(pace, knots)(np.linspace(0, pace[-1], 24))


def _line(*points: tuple[float, float]) -> Points:
    """Straight lines from point to point."""
    parts = [np.linspace(start, end, 6) for start, end in itertools.pairwise(points)]
    return np.concatenate(parts)


def _join(*parts: Points) -> Points:
    """Several parts in one stroke of the pen."""
    return np.concatenate(parts)


# Each digit's ways of being written, each a list of strokes in a box about 0.6 wide and 1 high.
TEMPLATES: dict[int, list[list[Points]]] = {
    0: [
        [_curve((0.34, 0.00), (0.10, 0.15), (0.00, 0.50), (0.10, 0.87), (0.31, 1.00), (0.52, 0.85),
                (0.60, 0.48), (0.50, 0.13), (0.30, 0.01))],
        [_curve((0.24, 0.03), (0.05, 0.25), (0.02, 0.65), (0.18, 0.98), (0.40, 0.88), (0.50, 0.50),
                (0.42, 0.12), (0.22, 0.00), (0.14, 0.08))],
    ],
    1: [
        [_line((0.30, 0.00), (0.30, 1.00))],
        [_line((0.08, 0.27), (0.32, 0.00), (0.32, 1.00))],
        [_line((0.08, 0.22), (0.30, 0.00), (0.30, 1.00)), _line((0.08, 1.00), (0.52, 1.00))],
    ],
    2: [
        [_join(_curve((0.03, 0.24), (0.14, 0.05), (0.34, 0.00), (0.53, 0.13), (0.52, 0.36), (0.34, 0.64), (0.02, 0.98)),
               _line((0.02, 0.98), (0.60, 0.97)))],
        [_curve((0.04, 0.20), (0.20, 0.02), (0.44, 0.05), (0.52, 0.27), (0.40, 0.58), (0.16, 0.90), (0.02, 0.93),
                (0.07, 0.78), (0.25, 0.84), (0.44, 0.97), (0.62, 0.90))],
        [_join(_curve((0.06, 0.14), (0.26, 0.00), (0.47, 0.10), (0.48, 0.34), (0.28, 0.68), (0.04, 1.00)),
               _curve((0.04, 1.00), (0.22, 0.94), (0.42, 0.98), (0.58, 0.94)))],
    ],
    3: [
        [_join(_curve((0.04, 0.14), (0.22, 0.00), (0.44, 0.05), (0.50, 0.23), (0.40, 0.41), (0.20, 0.47)),
               _curve((0.20, 0.47), (0.42, 0.52), (0.56, 0.70), (0.47, 0.92), (0.25, 1.00), (0.02, 0.88)))],
        [_join(_line((0.04, 0.02), (0.52, 0.02), (0.22, 0.40)),
               _curve((0.22, 0.40), (0.46, 0.46), (0.56, 0.68), (0.46, 0.91), (0.24, 1.00), (0.02, 0.89)))],
    ],
    4: [
        [_line((0.12, 0.00), (0.04, 0.55), (0.60, 0.55)), _line((0.42, 0.06), (0.42, 1.00))],
        [_line((0.42, 1.00), (0.42, 0.00), (0.00, 0.68), (0.62, 0.68))],
        [_join(_curve((0.06, 0.02), (0.02, 0.28), (0.10, 0.48), (0.28, 0.52), (0.50, 0.44))),
         _line((0.52, 0.02), (0.48, 1.00))],
    ],
    5: [
        [_join(_line((0.12, 0.02), (0.08, 0.42)),
               _curve((0.08, 0.42), (0.28, 0.36), (0.50, 0.46), (0.56, 0.68), (0.46, 0.91), (0.24, 1.0),
                      (0.02, 0.91))),
         _line((0.12, 0.02), (0.54, 0.01))],
        [_join(_line((0.54, 0.00), (0.12, 0.03), (0.07, 0.45)),
               _curve((0.07, 0.45), (0.30, 0.38), (0.50, 0.52), (0.52, 0.76), (0.36, 0.97), (0.02, 0.97)))],
    ],
    6: [
        [_curve((0.44, 0.00), (0.22, 0.18), (0.05, 0.48), (0.04, 0.78), (0.20, 0.99), (0.44, 0.94), (0.54, 0.74),
                (0.42, 0.55), (0.20, 0.58), (0.06, 0.76))],
        [_curve((0.50, 0.08), (0.36, 0.00), (0.16, 0.16), (0.04, 0.50), (0.08, 0.86), (0.28, 1.00), (0.50, 0.88),
                (0.52, 0.64), (0.34, 0.50), (0.14, 0.60), (0.07, 0.72))],
    ],
    7: [
        [_line((0.02, 0.02), (0.56, 0.02), (0.20, 1.00))],
        [_line((0.02, 0.03), (0.56, 0.01), (0.22, 1.00)), _line((0.16, 0.50), (0.56, 0.48))],
        [_join(_line((0.00, 0.08), (0.54, 0.02)), _curve((0.54, 0.02), (0.40, 0.30), (0.28, 0.64), (0.26, 1.00)))],
    ],
    8: [
        [_curve((0.46, 0.10), (0.28, 0.00), (0.08, 0.14), (0.14, 0.36), (0.34, 0.50), (0.52, 0.70), (0.46, 0.93),
                (0.26, 1.00), (0.06, 0.88), (0.08, 0.66), (0.28, 0.48), (0.46, 0.32), (0.48, 0.12))],
        [_curve((0.28, 0.46), (0.10, 0.36), (0.08, 0.12), (0.28, 0.00), (0.46, 0.12), (0.44, 0.36), (0.28, 0.46)),
         _curve((0.28, 0.46), (0.06, 0.58), (0.03, 0.86), (0.28, 1.00), (0.53, 0.86), (0.50, 0.58), (0.28, 0.46))],
    ],
    9: [
        [_join(_curve((0.48, 0.12), (0.28, 0.00), (0.06, 0.12), (0.04, 0.36), (0.20, 0.50), (0.40, 0.42), (0.48, 0.12)),
               _line((0.48, 0.12), (0.46, 1.00)))],
        [_curve((0.50, 0.22), (0.38, 0.02), (0.14, 0.05), (0.03, 0.28), (0.16, 0.49), (0.38, 0.44), (0.51, 0.20),
                (0.51, 0.50), (0.40, 0.84), (0.14, 1.00))],
        [_join(_curve((0.46, 0.14), (0.26, 0.00), (0.06, 0.14), (0.08, 0.40), (0.28, 0.48), (0.46, 0.30), (0.47, 0.12)),
               _curve((0.47, 0.12), (0.46, 0.44), (0.36, 0.74), (0.20, 1.00)))],
    ],
}  # fmt: skip


def _draw(label: int, hand: Hand, random: np.random.Generator) -> Drawing:
    ways = TEMPLATES[label]
    width = random.uniform(*hand.width)
    strokes = _wobble(ways[random.integers(len(ways))], random)
    strokes = _place(_lean(strokes, hand, random), hand, width, random)
    return Drawing(label, hand.name, [_sample(stroke) for stroke in strokes], round(float(width), 4))


def _wobble(strokes: Sequence[Points], random: np.random.Generator) -> list[Points]:
    """An unsteady hand: the paper is bent a little in long waves, and each stroke starts a little off its place."""
    waves = random.uniform(-0.8, 0.8, (3, 2)) * 2 * np.pi
    phases = random.uniform(0, 2 * np.pi, 3)
    pulls = random.normal(0, 0.022, (3, 2))
    bent: list[Points] = []
    for stroke in strokes:
        start = random.normal(0, 0.015, 2)
        bent.append(stroke + np.sin(stroke @ waves.T + phases) @ pulls + start)
    return bent


def _lean(strokes: Sequence[Points], hand: Hand, random: np.random.Generator) -> list[Points]:
    """Narrower or wider, turned a little, and leaning as the hand does."""
    aspect, slant, angle = random.uniform(0.85, 1.2), random.uniform(*hand.slant), random.normal(0, 0.04)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    lean = np.array([[aspect, 0.0], [-slant, 1.0]])
    return [stroke @ lean @ rotation for stroke in strokes]


def _place(strokes: Sequence[Points], hand: Hand, width: float, random: np.random.Generator) -> list[Points]:
    """Somewhere on the pad, with the brush's whole width on it."""
    points = np.concatenate(strokes)
    least, size = points.min(axis=0), np.ptp(points, axis=0)
    margin = width / 2 + 0.02
    scale = min(random.uniform(*hand.height) / size[1], (1 - 2 * margin) / size.max())
    free = 1 - 2 * margin - size * scale
    # Near the middle rather than in a corner.
    corner = margin + free * np.clip(random.normal(0.5, 0.2, 2), 0, 1)
    return [corner + (stroke - least) * scale for stroke in strokes]


def _sample(stroke: Points) -> list[tuple[float, float]]:
    """As many points as a mouse would report, at even distances."""
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(stroke, axis=0), axis=1))])
    even = np.linspace(0, way[-1], MAX_POINTS)
    x, y = np.interp(even, way, stroke[:, 0]), np.interp(even, way, stroke[:, 1])
    return [(round(float(a), 4), round(float(b), 4)) for a, b in zip(x, y, strict=True)]
