"""The continual model: it learns what it is shown, forgets little, and leaves its original alone."""

import keras
import numpy as np
import pytest

from labkit.digits import PIXELS, Digits, disturb, load_digits
from labkit.model.continual import BATCH, REMEMBERED, ContinualModel
from labkit.model.inference import compile_predict
from labkit.model.network import build_network


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
    assert model.learned == count


def test_the_same_stream_gives_the_same_model(trained: keras.Model, digits: Digits) -> None:
    images, labels = digits.images[:200].reshape(-1, PIXELS), digits.labels[:200].astype(np.int32)
    models = [ContinualModel(trained, seed=4) for _ in range(2)]
    for model in models:
        for start in range(0, 200, 10):
            model.learn(images[start : start + 10], labels[start : start + 10])
    rest = digits.images.reshape(-1, PIXELS)
    assert (models[0].predict(rest) == models[1].predict(rest)).all()
