"""Published models: numbered, whole, and never half seen."""

import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from labkit.errors import LabError
from labkit.model.network import build_network
from labkit.model.store import ModelStore, NewestModel


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture(scope="module")
def network() -> keras.Sequential:
    return build_network(seed=1)


def test_before_the_first_publishing_there_is_no_version(store: ModelStore) -> None:
    assert store.current_version() is None


def test_published_model_comes_back_and_answers_the_same(
    store: ModelStore, network: keras.Sequential, tmp_path: Path
) -> None:
    assert store.publish(network) == "v1"
    assert store.current_version() == "v1"
    images = np.random.default_rng(2).random((3, 784), np.float32)
    np.testing.assert_array_equal(store.load("v1").predict_on_batch(images), network.predict_on_batch(images))
    names = {path.name for path in (tmp_path / "models").iterdir()}
    assert names - {"publish.lock"} == {"v1.keras", "current"}


def test_versions_increase_past_nine_and_past_foreign_files(
    store: ModelStore, network: keras.Sequential, tmp_path: Path
) -> None:
    store.publish(network)
    for name in ("v9.keras", "vgg.keras", "v12-copy.keras"):
        (tmp_path / "models" / name).write_bytes(b"")
    assert store.publish(network) == "v10"
    assert store.publish(network) == "v11"
    assert store.current_version() == "v11"


def test_publishers_at_once_get_versions_of_their_own(network: keras.Sequential, tmp_path: Path) -> None:
    versions: list[str] = []
    models = [keras.models.clone_model(network) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda model=model: versions.append(ModelStore(tmp_path).publish(model)))
        for model in models
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == ["v1", "v2", "v3", "v4"]


def test_reader_never_sees_a_version_whose_file_is_not_whole(
    store: ModelStore, network: keras.Sequential, tmp_path: Path
) -> None:
    store.publish(network)
    done = threading.Event()
    seen: list[tuple[str, int]] = []

    def read() -> None:
        while not done.is_set():
            version = store.current_version()
            seen.append((str(version), (tmp_path / "models" / f"{version}.keras").stat().st_size))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        store.publish(network)
    done.set()
    reader.join()
    sizes = {path.stem: path.stat().st_size for path in (tmp_path / "models").glob("v*.keras")}
    assert seen and all(sizes[version] == size for version, size in seen)


def build(*layers: Any) -> keras.Sequential:
    return keras.Sequential(list(layers))


def two_inputs() -> keras.Model:
    first, second = keras.Input((784,)), keras.Input((784,))
    return keras.Model([first, second], keras.layers.Dense(10)(keras.layers.add([first, second])))


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (lambda: build(keras.layers.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)), "28, 28"),
        (lambda: build(keras.layers.Input((784,)), keras.layers.Dense(9)), "9"),
        (lambda: build(keras.layers.Dense(10)), "input shape"),
        (two_inputs, "784"),
        (object, "input_shape"),
    ],
)
def test_model_of_other_shapes_is_refused_and_not_kept(model: Any, named: str, store: ModelStore) -> None:
    with pytest.raises(LabError, match=named):
        store.publish(model())
    assert store.current_version() is None


def test_a_model_that_cannot_score_is_told_once_and_the_one_before_stays(
    store: ModelStore, network: keras.Sequential, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newest = NewestModel(store)
    with pytest.raises(LabError, match="there is no model to score with"):
        newest.get()
    store.publish(network)
    assert newest.get()[0] == "v1"
    build(keras.layers.Input((784,)), keras.layers.Dense(9)).save(tmp_path / "models" / "v2.keras")
    (tmp_path / "models" / "current").write_text("v2")
    with caplog.at_level("ERROR"):
        assert newest.get() is newest.get()
    assert newest.get()[0] == "v1"
    assert caplog.text.count("model v2 is not taken: a model that scores digits takes (None, 784)") == 1
    store.publish(network)
    assert newest.get()[0] == "v3"


def test_unknown_version_is_refused_by_name(store: ModelStore) -> None:
    with pytest.raises(LabError, match="model v7 cannot be loaded"):
        store.load("v7")


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_damaged_file_is_refused_in_one_line(
    damage: str, store: ModelStore, network: keras.Sequential, tmp_path: Path
) -> None:
    store.publish(network)
    path = tmp_path / "models" / "v1.keras"
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes(byte ^ 255 for byte in content[middle : middle + 64]) + content[middle + 64 :]
    path.write_bytes({"empty": b"", "cut": content[:middle], "flipped": flipped, "text": b"no model"}[damage])
    with pytest.raises(LabError, match="model v1 cannot be loaded") as refusal:
        store.load("v1")
    assert "\n" not in str(refusal.value)
