"""Disturbed samples: what is done to them, how much, and what is refused."""

from typing import Any

import numpy as np
import pytest

from labkit.digits import DISTURBANCES, Disturbance, disturb
from labkit.digits.disturb import MOST_NOISE
from labkit.errors import LabError

BAR = np.zeros((28, 28), np.uint8)
BAR[4:24, 13:15] = 255
FOOT = BAR.copy()
FOOT[20:24, 10:15] = 255
"""A 1 with a foot to the left: turned a quarter clockwise, the foot points up."""


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def test_clean_is_the_same_in_a_new_array(random: np.random.Generator) -> None:
    clean = disturb(BAR, "clean", 1.0, random)
    assert (clean == BAR).all() and clean is not BAR


@pytest.mark.parametrize("how", ["noisy", "rotated"])
def test_strength_0_changes_nothing(how: Any, random: np.random.Generator) -> None:
    assert (disturb(BAR, how, 0.0, random) == BAR).all()


def test_noise_is_as_strong_as_told(random: np.random.Generator) -> None:
    grey = np.full((28, 28), 128, np.uint8)
    spread = np.std([disturb(grey, "noisy", 0.2, random).astype(int) - 128 for _ in range(50)])
    assert spread == pytest.approx(0.2 * MOST_NOISE, rel=0.03)


def test_a_quarter_turn_is_clockwise_and_keeps_the_ink(random: np.random.Generator) -> None:
    turned = disturb(FOOT, "rotated", 1.0, random)
    assert (turned == np.rot90(FOOT, -1)).all()


def test_rotation_keeps_the_middle(random: np.random.Generator) -> None:
    rows, columns = np.nonzero(disturb(BAR, "rotated", 0.5, random) > 100)
    assert rows.mean() == pytest.approx(13.5, abs=0.3) and columns.mean() == pytest.approx(13.5, abs=0.3)


@pytest.mark.parametrize("how", DISTURBANCES)
def test_the_original_is_not_touched(how: Disturbance, random: np.random.Generator) -> None:
    before = FOOT.copy()
    assert disturb(FOOT, how, 1.0, random).shape == (28, 28)
    assert (before == FOOT).all()


@pytest.mark.parametrize(
    ("how", "strength"),
    [("blurred", 0.5), (None, 0.5), (["noisy"], 0.5), ("noisy", -0.1), ("noisy", 1.1), ("noisy", float("nan")),
     ("rotated", "0.5"), ("rotated", True), ("rotated", None)],
)  # fmt: skip
def test_what_is_no_disturbance_is_refused(how: Any, strength: Any, random: np.random.Generator) -> None:
    with pytest.raises(LabError, match="samples cannot be|makes no sense"):
        disturb(BAR, how, strength, random)
