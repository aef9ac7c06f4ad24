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


@pytest.mark.parametrize("how", [how for how in DISTURBANCES if how != "clean"])
def test_strength_0_changes_nothing(how: Any, random: np.random.Generator) -> None:
    for image in (BAR, FOOT, random.integers(0, 256, (28, 28), np.uint8)):
        assert (disturb(image, how, 0.0, random) == image).all()


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


def test_a_thick_pen_widens_a_line_on_both_sides_as_much_as_told(random: np.random.Generator) -> None:
    thick = disturb(BAR, "thick", 0.8, random)  # 2 pixels on either side
    row = thick[14]
    assert (row[11:17] == 255).all() and row[:11].sum() == row[17:].sum() == 0
    widths = [disturb(BAR, "thick", strength, random)[14].sum() / 255 for strength in (0.0, 0.1, 0.2, 0.5, 1.0)]
    assert widths == pytest.approx([2, 2.5, 3, 4.5, 7], abs=0.02)


def test_another_hand_leans_to_the_left_and_writes_narrower(random: np.random.Generator) -> None:
    written = disturb(BAR, "hand", 1.0, random)
    places = {row: np.average(np.arange(28), weights=written[row]) for row in (5, 14, 22)}
    assert places[5] == pytest.approx(13.5 - 8.5, abs=0.3) and places[22] == pytest.approx(13.5 + 8.5, abs=0.3)
    broad = np.zeros((28, 28), np.uint8)
    broad[13:15, 4:24] = 255
    assert disturb(broad, "hand", 1.0, random)[13].sum() / 255 == pytest.approx(0.6 * 20, abs=1)


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
