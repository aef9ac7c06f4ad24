"""What a digit is, how one is drawn, where digits come from, and whether the talk's network learns them."""

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from labkit.digits import Digits, check_label, check_pixels, load_digits, load_kept_digits, render_strokes
from labkit.digits.augment import augment
from labkit.digits.mnist_format import to_mnist_format
from labkit.digits.printed import FONTS, load_printed
from labkit.digits.sources import COPIES, PRINTED_COPIES
from labkit.digits.thinning import centre_lines
from labkit.errors import LabError
from labkit.model.network import build_network
from labkit.model.training import BATCH_SIZE, EPOCHS
from labkit.settings import load_settings
from tests.hands import HANDS, MAX_POINTS, drawn_digits

MIDDLE = (13.5, 13.5)


def ink_box(image: np.ndarray, level: int = 0) -> tuple[int, int]:
    """Height and width of what is darker than a level."""
    rows, columns = np.where(image > level)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


# What a digit is


@pytest.mark.parametrize(
    "pixels",
    [
        np.arange(784, dtype=np.int64).reshape(28, 28) % 256,
        np.arange(784, dtype=np.uint8) % 255,
        bytes(range(196)) * 4,
        bytearray(784),
        memoryview(bytes(784)),
        [[255] * 28] * 28,
    ],
)
def test_pixels_of_every_accepted_kind(pixels: Any) -> None:
    image = check_pixels(pixels)
    expected = np.frombuffer(pixels, np.uint8) if isinstance(pixels, bytes | bytearray | memoryview) else pixels
    assert image.shape == (28, 28) and image.dtype == np.uint8
    assert np.array_equal(image.ravel(), np.asarray(expected).ravel())


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((27, 28), np.uint8), "27×28"),
        (np.zeros((1, 28, 28), np.uint8), "1×28×28"),
        (np.zeros((28, 28), np.float32), "float32"),
        (np.full((28, 28), np.nan), "NaN"),
        (np.full((28, 28), -1), "-1"),
        (np.full((28, 28), 256), "256"),
        (np.zeros((28, 28), np.bool_), "bool"),
        (bytes(783), "783 values"),
        (b"", "0 values"),
        ("seven", "28×28"),
        (["1"] * 784, "whole numbers"),
        ([None] * 784, "whole numbers"),
        ([[0] * 28] * 27 + [[0] * 27], "28×28"),
        (None, "28×28"),
    ],
)
def test_pixels_that_are_refused(pixels: Any, said: str) -> None:
    with pytest.raises(LabError) as refusal:
        check_pixels(pixels)
    assert said in refusal.value.problem and refusal.value.fix


@pytest.mark.parametrize("label", [0, 9, np.int64(3), np.uint8(7)])
def test_labels(label: Any) -> None:
    checked = check_label(label)
    assert checked == label and type(checked) is int


@pytest.mark.parametrize(
    "label", [11, 10, -1, "three", "3", True, np.True_, 3.5, 3.0, np.float32(3), float("nan"), [3]]
)
def test_labels_that_are_refused(label: Any) -> None:
    with pytest.raises(LabError) as refusal:
        check_label(label)
    assert repr(label) in refusal.value.problem and "None" in str(refusal.value.fix)


def test_no_label_is_allowed_only_where_it_is() -> None:
    assert check_label(None) is None
    with pytest.raises(LabError, match="None is no label"):
        check_label(None, allow_none=False)


def test_digits_are_counted_taken_and_shuffled_in_pairs() -> None:
    labels = np.arange(10, dtype=np.uint8)
    images = np.stack([np.full((28, 28), label, np.uint8) for label in labels])
    digits = Digits(images, labels, "made up")
    assert len(digits) == 10 and digits.take(3).labels.tolist() == [0, 1, 2] and len(digits.take(99)) == 10
    shuffled = digits.shuffle(1)
    assert shuffled.labels.tolist() != labels.tolist() and sorted(shuffled.labels) == labels.tolist()
    assert all(image[0, 0] == label and type(label) is int for image, label in shuffled)
    assert np.array_equal(shuffled.labels, digits.shuffle(1).labels)
    assert not np.array_equal(shuffled.labels, digits.shuffle(2).labels)


# MNIST's format


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (28, 28), (280, 150), (40, 200)])
def test_format_fits_the_box_and_centres_by_mass(size: tuple[int, int]) -> None:
    random = np.random.default_rng(size[0])
    gray = np.zeros(size)
    height, width = size[0] * 3 // 4, size[1] * 3 // 4
    gray[-height:, :width] = random.uniform(0.1, 7.0, (height, width)) * np.linspace(0.2, 1, width)
    image = to_mnist_format(gray)
    assert image.shape == (28, 28) and image.dtype == np.uint8 and image.max() == 255
    assert max(ink_box(image)) == 20
    assert np.abs(np.subtract(ndimage.center_of_mass(image), MIDDLE)).max() <= 1
    found_height, found_width = ink_box(image)
    assert found_height / found_width == pytest.approx(height / width, rel=0.1)


def test_every_bundled_digit_is_in_the_format() -> None:
    for split in ("train", "test"):
        images = load_digits("bundled", split, augment=0).images
        for image in images:
            assert image.max() == 255 and image.min() == 0 and max(ink_box(image)) <= 20
            assert np.abs(np.subtract(ndimage.center_of_mass(image), MIDDLE)).max() <= 1


# Drawing


def test_a_dot_is_round_and_in_the_middle() -> None:
    image = render_strokes([[(0.2, 0.3)]], 0.06)
    assert ink_box(image) == (20, 20) and image[13, 13] == 255 and image[4, 4] == 0
    assert np.abs(image.astype(int) - image.T).max() <= 32
    assert np.abs(np.subtract(ndimage.center_of_mass(image), MIDDLE)).max() <= 1


def test_a_vertical_and_a_horizontal_line() -> None:
    upright = render_strokes([[(0.5, 0.2), (0.5, 0.8)]], 0.06)
    lying = render_strokes([[(0.2, 0.5), (0.8, 0.5)]], 0.06)
    height, width = ink_box(upright)
    assert height == 20 and 1 <= width <= 3
    assert ink_box(lying) == (width, height)
    assert np.abs(upright.astype(int) - lying.T).max() <= 32


@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, (-0.2, 0.1)), (1.0, (0.1, -0.15)), (0.6, (0.3, 0.0)), (1.4, (-0.3, -0.3))]
)
def test_place_and_size_on_the_pad_do_not_matter(scale: float, shift: tuple[float, float]) -> None:
    for drawing in drawn_digits(0)[::7]:
        middle = [[(0.25 + x / 2, 0.25 + y / 2) for x, y in stroke] for stroke in drawing.strokes]
        points = np.concatenate([np.array(stroke) for stroke in middle])
        moved = points * scale + shift
        if moved.min() < drawing.width * scale / 4 or moved.max() > 1 - drawing.width * scale / 4:
            moved += 0.5 - (moved.min(axis=0) + moved.max(axis=0)) / 2
        ends = np.cumsum([len(stroke) for stroke in middle])[:-1]
        other = [part.tolist() for part in np.split(moved, ends)]
        before = render_strokes(middle, drawing.width / 2).astype(float)
        after = render_strokes(other, drawing.width / 2 * scale).astype(float)
        # The finest pen's width is rounded to whole pixels of the picture, so edges differ, lines do not.
        nearest = min(
            np.abs(before - np.roll(after, (down, right), (0, 1))).mean() for down in (-1, 0, 1) for right in (-1, 0, 1)
        )
        assert nearest < 12, drawing.label


def test_an_empty_stroke_among_others_draws_nothing() -> None:
    line = [(0.5, 0.2), (0.5, 0.8)]
    assert np.array_equal(render_strokes([[], line, []], 0.1), render_strokes([line], 0.1))


@pytest.mark.parametrize(
    ("strokes", "width", "said"),
    [
        ([], 0.1, "nothing is drawn"),
        ([[], []], 0.1, "nothing is drawn"),
        ([[(0.5, float("nan"))]], 0.1, "not on the pad"),
        ([[(0.5, float("inf"))]], 0.1, "not on the pad"),
        ([[(0.5, 0.5), (1.01, 0.5)]], 0.1, "not on the pad"),
        ([[(-0.01, 0.5)]], 0.1, "not on the pad"),
        ([[("0.5", "0.5")]], 0.1, "not on the pad"),
        ([[(True, False)]], 0.1, "not on the pad"),
        ([[(0.5, 0.5)] * 20_001], 0.1, "20001 points"),
        ([[(0.5, 0.5, 0.5)]], 0.1, "lists of points"),
        ([(0.5, 0.5)], 0.1, "lists of points"),
        (0.5, 0.1, "lists of points"),
        (None, 0.1, "lists of points"),
        ([[(0.5, 0.5)]], 0.0, "brush"),
        ([[(0.5, 0.5)]], -0.1, "brush"),
        ([[(0.5, 0.5)]], 0.6, "brush"),
        ([[(0.5, 0.5)]], float("nan"), "brush"),
        ([[(0.5, 0.5)]], "wide", "brush"),
        ([[(0.5, 0.5)]], None, "brush"),
        ([[(0.5, 0.5)]], True, "brush"),
    ],
)
def test_strokes_that_are_refused(strokes: Any, width: Any, said: str) -> None:
    with pytest.raises(LabError) as refusal:
        render_strokes(strokes, width)
    assert said in refusal.value.problem and refusal.value.fix


def test_as_many_points_as_are_allowed() -> None:
    assert render_strokes([[(0.5, 0.5)] * 20_000], 0.1).max() == 255


# Sources


@pytest.mark.parametrize(
    ("arguments", "said", "fix"),
    [
        ({"source": "bundeld"}, "'bundeld'", "did you mean 'bundled'?"),
        ({"source": "mnst"}, "'mnst'", "did you mean 'mnist'?"),
        ({"source": ["mnist"]}, "['mnist']", "did you mean 'mnist'?"),
        ({"source": None}, "None", "one of bundled, mnist"),
        ({"source": "zzz"}, "'zzz'", "one of bundled, mnist"),
        ({"split": "validation"}, "'validation'", "'train' or 'test'"),
        ({"augment": -1}, "-1 copies", "0 to 50"),
        ({"augment": 51}, "51 copies", "0 to 50"),
        ({"augment": 1.5}, "1.5 copies", "0 to 50"),
        ({"augment": True}, "True copies", "0 to 50"),
        ({"augment": "many"}, "'many' copies", "0 to 50"),
    ],
)
def test_sources_that_are_refused(arguments: dict[str, Any], said: str, fix: str) -> None:
    with pytest.raises(LabError) as refusal:
        load_digits(**arguments)
    assert said in refusal.value.problem and fix in str(refusal.value.fix)


def test_train_and_test_share_no_image_and_have_every_class() -> None:
    train, test = load_digits("bundled", "train", augment=0), load_digits("bundled", "test")
    assert (len(train), len(test)) == (1297, 500)
    seen = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in seen for image in test.images)
    shares = [np.bincount(digits.labels, minlength=10) / len(digits) for digits in (train, test)]
    assert np.abs(shares[0] - shares[1]).max() < 0.002 and shares[0].min() > 0.09


def test_a_test_split_is_never_augmented_unless_asked() -> None:
    test, again = load_digits("bundled", "test", seed=1), load_digits("bundled", "test", seed=2)
    assert len(test) == 500 and np.array_equal(test.images, again.images)
    assert np.array_equal(test.images, load_digits("bundled", "test", augment=0).images)


def test_copies_are_repeatable_varied_and_keep_their_class() -> None:
    few = load_digits("bundled", "train", augment=0).take(60)
    copies = augment(few, 3, seed=5)
    assert len(copies) == 240 and copies.images.dtype == np.uint8 and copies.images.shape[1:] == (28, 28)
    assert np.array_equal(np.bincount(copies.labels), 4 * np.bincount(few.labels))
    assert np.array_equal(copies.images, augment(few, 3, seed=5).images)
    assert not np.array_equal(copies.images, augment(few, 3, seed=6).images)
    assert len({image.tobytes() for image in copies.images}) == 240
    assert {image.tobytes() for image in few.images} < {image.tobytes() for image in copies.images}
    for image in copies.images:
        assert image.max() == 255 and max(ink_box(image)) <= 20


def test_the_seed_of_a_source_reaches_its_copies() -> None:
    first, same, other = (load_digits("bundled", "test", augment=1, seed=seed) for seed in (3, 3, 4))
    assert len(first) == 2 * len(load_digits("bundled", "test"))
    assert np.array_equal(first.images, same.images) and not np.array_equal(first.images, other.images)


def test_printed_digits_are_of_every_font_and_class_and_all_different() -> None:
    printed = load_printed()
    assert len(printed) == 10 * len(FONTS) and np.bincount(printed.labels).tolist() == [len(FONTS)] * 10
    assert len({image.tobytes() for image in printed.images}) == len(printed)
    for image in printed.images:
        assert image.max() == 255 and max(ink_box(image)) == 20


@functools.cache
def training_digits() -> Digits:
    """What a lab trains with, as a lab gets it: it takes seconds to make."""
    return load_kept_digits(load_settings().cache_dir / "digits", "bundled", "train")


def test_printed_digits_are_only_in_the_default_training_digits() -> None:
    printed = {image.tobytes() for image in load_printed().images}
    assert printed < {image.tobytes() for image in training_digits().images}
    for digits in (load_digits("bundled", "train", augment=1), load_digits("bundled", "test")):
        assert not any(image.tobytes() in printed for image in digits.images)


def test_thinning_leaves_lines_that_hang_together() -> None:
    ring = np.zeros((40, 40), np.bool_)
    rows, columns = np.mgrid[:40, :40]
    distance = np.hypot(rows - 20, columns - 20)
    ring[(distance > 8) & (distance < 14)] = True
    bar = np.zeros((40, 40), np.bool_)
    bar[5:35, 15:22] = True
    thin_ring, thin_bar = centre_lines(np.stack([ring, bar]))
    eight = np.ones((3, 3))
    assert not (thin_ring & ~ring).any() and not (thin_bar & ~bar).any()
    assert ndimage.label(thin_ring, eight)[1] == 1 and ndimage.label(~thin_ring)[1] == 2
    assert ndimage.label(thin_bar, eight)[1] == 1 and thin_bar.sum(axis=1).max() == 1 and thin_bar.sum() > 20


def test_mnist_without_a_network_names_the_digits_that_are_there(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    nowhere = "http://127.0.0.1:9"
    environment |= {"KERAS_HOME": str(tmp_path), "HTTPS_PROXY": nowhere, "https_proxy": nowhere, "HTTP_PROXY": nowhere}
    program = (
        "from labkit.digits import load_digits\n"
        "from labkit.errors import LabError\n"
        "try:\n    load_digits('mnist', 'test')\n"
        "except LabError as error:\n    print('PROBLEM', error.problem)\n    print('FIX', error.fix)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=150, check=True
    )
    problem, fix = (
        next(line for line in done.stdout.splitlines() if line.startswith(word)) for word in ("PROBLEM", "FIX")
    )
    assert "MNIST could not be downloaded" in problem and "bundled" in fix


# Learning


def test_drawn_digits_are_what_they_are_said_to_be() -> None:
    drawings = drawn_digits(3)
    assert drawings == drawn_digits(3) and drawings != drawn_digits(4)
    assert np.bincount([drawing.label for drawing in drawings]).tolist() == [10] * 10
    assert {drawing.hand for drawing in drawings} == {hand.name for hand in HANDS}
    for drawing in drawings:
        points = np.concatenate([np.array(stroke) for stroke in drawing.strokes])
        assert max(len(stroke) for stroke in drawing.strokes) <= MAX_POINTS
        assert points.min() >= drawing.width / 2 and points.max() <= 1 - drawing.width / 2


def test_the_network_learns_the_bundled_digits_and_reads_drawn_ones() -> None:
    train, test = training_digits(), load_digits("bundled", "test")
    assert len(train) == 1297 * (1 + COPIES["bundled"]) + 160 * (1 + PRINTED_COPIES) <= 8000
    model = build_network(seed=1)
    model.fit(_inputs(train.images), train.labels.astype(int), batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)

    predicted = model.predict_on_batch(_inputs(test.images)).argmax(axis=1)
    assert (predicted == test.labels).mean() >= 0.96

    # Five hundred rather than one: how many of a hundred are read goes up and down by six with the drawings.
    drawings = [drawing for seed in range(5) for drawing in drawn_digits(seed)]
    drawn = np.stack([render_strokes(drawing.strokes, drawing.width) for drawing in drawings])
    read = model.predict_on_batch(_inputs(drawn)).argmax(axis=1)
    right = read == [drawing.label for drawing in drawings]
    assert right.mean() >= 0.87
    for hand in HANDS:
        assert right[[drawing.hand == hand.name for drawing in drawings]].mean() >= 0.82, hand.name


def _inputs(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), 784).astype(np.float32) / 255
