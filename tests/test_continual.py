"""The continual model: it learns what it is shown, forgets little, and is a function of its digits alone."""

from collections.abc import Sequence

import keras
import numpy as np
import pytest

from labkit.digits import PIXELS, Digits, Disturbance, disturb, load_digits
from labkit.errors import LabError
from labkit.model.continual import BATCH, REMEMBERED, ContinualModel, ContinualState
from labkit.model.inference import compile_predict
from labkit.model.network import build_network

MARGIN = 0.2
"""By how much the continual model must be ahead of the frozen one."""


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits("bundled", "train", augment=0)


@pytest.fixture(scope="module")
def trained(digits: Digits) -> keras.Model:
    model = build_network(seed=1)
    model.fit(digits.images.reshape(-1, PIXELS) / 255.0, digits.labels, epochs=10, batch_size=64, verbose=0)
    return model


def accuracy(model: ContinualModel, digits: Digits) -> float:
    return float(np.mean(model.predict(digits.images.reshape(-1, PIXELS)) == digits.labels))


def test_it_begins_as_its_original(trained: keras.Model, digits: Digits) -> None:
    images = digits.images.reshape(-1, PIXELS)
    assert (ContinualModel(trained).predict(images) == compile_predict(trained)(images).argmax(axis=1)).all()


def test_it_learns_rotated_digits_and_still_knows_upright_ones(trained: keras.Model) -> None:
    upright = load_digits("bundled", "test")
    random = np.random.default_rng(0)
    turned = Digits(
        np.stack([disturb(image, "rotated", 0.5, random) for image in upright.images]), upright.labels, "turned"
    )
    learnt, unseen = turned.take(400), Digits(turned.images[400:], turned.labels[400:], "turned")
    weights = [weight.copy() for weight in trained.get_weights()]
    model = ContinualModel(trained)
    # It has something to remember the upright digits by.
    model.learn(upright.images[:400].reshape(-1, PIXELS), upright.labels[:400].astype(np.int32))
    before = accuracy(model, unseen)
    for start in range(0, 400, 4):
        images = learnt.images[start : start + 4].reshape(-1, PIXELS)
        model.learn(images, learnt.labels[start : start + 4].astype(np.int32))
    assert accuracy(model, unseen) > before + 0.2
    rest = Digits(upright.images[400:], upright.labels[400:], "upright")
    assert accuracy(model, rest) > 0.85
    assert all((old == new).all() for old, new in zip(weights, trained.get_weights(), strict=True))


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, REMEMBERED + 5])
def test_any_number_of_digits_is_learned(trained: keras.Model, count: int) -> None:
    model = ContinualModel(trained)
    model.learn(np.zeros((count, PIXELS), np.uint8), np.zeros(count, np.int32))
    assert (model.learned, model.waiting) == (count - count % BATCH, count % BATCH)


@pytest.fixture(scope="module")
def with_random_layers() -> keras.Model:
    """A model as somebody may publish it: with statistics of batches, and a layer that draws."""
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.layers.Input((PIXELS,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(10),
        ]
    )


def learn_in_parts(model: ContinualModel, digits: Digits, cuts: Sequence[int]) -> None:
    images, labels = digits.images.reshape(-1, PIXELS), digits.labels.astype(np.int32)
    for part, part_labels in zip(np.split(images, cuts), np.split(labels, cuts), strict=True):
        model.learn(part, part_labels)


def same(one: ContinualState, other: ContinualState) -> bool:
    return (one.learned, one.random, one.arrays.keys()) == (other.learned, other.random, other.arrays.keys()) and all(
        array.tobytes() == other.arrays[name].tobytes() for name, array in one.arrays.items()
    )


@pytest.mark.parametrize("name", ["trained", "with_random_layers"])
def test_however_the_stream_is_cut_the_weights_are_the_same_to_the_bit(
    name: str, digits: Digits, request: pytest.FixtureRequest
) -> None:
    published, random = request.getfixturevalue(name), np.random.default_rng(5)
    some = digits.take(601)
    whole = ContinualModel(published)
    learn_in_parts(whole, some, [])
    assert whole.waiting == 1
    for _ in range(2):
        cut = ContinualModel(published)
        learn_in_parts(cut, some, np.sort(random.integers(0, 602, 120)).tolist())
        assert same(cut.state, whole.state)
    other = ContinualModel(published)
    learn_in_parts(other, Digits(some.images[::-1], some.labels[::-1], "backwards"), [])
    assert not same(other.state, whole.state), "the order counts"


@pytest.mark.parametrize("name", ["trained", "with_random_layers"])
def test_a_restored_model_goes_on_as_the_one_it_was(name: str, digits: Digits, request: pytest.FixtureRequest) -> None:
    published = request.getfixturevalue(name)
    first, rest = digits.take(403), Digits(digits.images[403:701], digits.labels[403:701], "rest")
    model = ContinualModel(published)
    learn_in_parts(model, first, [])
    noted = model.state
    learn_in_parts(model, rest, [7])
    successor = ContinualModel(published, seed=9)
    successor.restore(noted)
    assert same(successor.state, noted), "what came later has not changed what was noted"
    learn_in_parts(successor, rest, [31, 32])
    assert same(successor.state, model.state)
    images = digits.images.reshape(-1, PIXELS)
    assert (successor.predict(images) == model.predict(images)).all()


def test_a_state_of_another_shape_is_refused_and_changes_nothing(
    trained: keras.Model, with_random_layers: keras.Model, digits: Digits
) -> None:
    model, other = ContinualModel(trained), ContinualModel(with_random_layers)
    learn_in_parts(other, digits.take(20), [])
    before = model.state
    with pytest.raises(LabError, match="of another shape"):
        model.restore(other.state)
    with pytest.raises(LabError, match="another random generator"):
        model.restore(ContinualState(before.arrays, before.learned, {"bit_generator": "MT19937"}))
    assert same(model.state, before)


@pytest.fixture(scope="module")
def published() -> keras.Model:
    """A model that has seen other slants and pens, as the lab's own has."""
    digits = load_digits("bundled", "train", augment=2)
    model = build_network(seed=1)
    model.fit(digits.images.reshape(-1, PIXELS) / 255.0, digits.labels, epochs=10, batch_size=64, verbose=0)
    return model


@pytest.mark.parametrize(("how", "strength"), [("rotated", 0.5), ("thick", 1.0), ("hand", 0.75), ("noisy", 1.0)])
def test_on_a_drifting_stream_it_is_ahead_of_the_frozen_model(
    published: keras.Model, how: Disturbance, strength: float
) -> None:
    """Each digit is predicted before it is learned; after 100 clean ones they are disturbed more and more."""
    digits, random = load_digits("bundled", "test"), np.random.default_rng(0)
    drift = np.clip((np.arange(len(digits)) - 100) / 100, 0.0, 1.0) * strength
    stream = np.stack([disturb(image, how, amount, random) for image, amount in zip(digits.images, drift, strict=True)])
    images, labels = stream.reshape(-1, PIXELS), digits.labels.astype(np.int32)
    model = ContinualModel(published)
    answers: list[np.int64] = []
    for number in range(len(digits)):
        answers.extend(model.predict(images[number : number + 1]))
        model.learn(images[number : number + 1], labels[number : number + 1])
    drifted = slice(200, None)
    frozen = np.mean(compile_predict(published)(images)[drifted].argmax(axis=1) == labels[drifted])
    continual = np.mean(np.array(answers)[drifted] == labels[drifted])
    print(f"{how}: frozen {frozen:.3f}, continual {continual:.3f}")
    assert continual > frozen + MARGIN
