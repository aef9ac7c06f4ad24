"""Published models: numbered files in one folder, and a note that says which one scores now."""

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import keras
from filelock import FileLock

from labkit.digits import PIXELS
from labkit.errors import LabError
from labkit.model.network import CLASSES

log = logging.getLogger(__name__)


def check_shapes(model: keras.Model) -> None:
    """See that a model can score digits: it takes (n, 784) and gives (n, 10).

    Raises:
        LabError: Its shapes are others, or not known yet.
    """
    try:
        shapes = (tuple(model.input_shape or ()), tuple(model.output_shape or ()))
    except AttributeError as error:
        raise LabError(
            f"this model's shapes are not known: {error}", f"begin it with keras.layers.Input(({PIXELS},))"
        ) from error
    if shapes != ((None, PIXELS), (None, CLASSES)):
        raise LabError(
            f"a model that scores digits takes (None, {PIXELS}) and gives (None, {CLASSES}), not {shapes}",
            "build it with labkit.model.network.build_network(), or with the same input and output",
        )


class ModelStore:
    """A folder of models. Publishing is atomic: a reader sees the old model or the new one.

    Args:
        folder: Where the models are; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current = folder / "current"

    def publish(self, model: keras.Model) -> str:
        """Save a model and make it the one that scores.

        Args:
            model: Takes (n, 784) float32 and gives (n, 10) logits.

        Returns:
            Its version, ``v1``, ``v2`` and so on.

        Raises:
            LabError: The model's shapes are others, or not known yet.
        """
        check_shapes(model)
        self._folder.mkdir(parents=True, exist_ok=True)
        # Two publishers at once would take the same number, and one would lose its model.
        with FileLock(self._folder / "publish.lock"), tempfile.TemporaryDirectory(dir=self._folder) as staging:
            numbers = [path.stem[1:] for path in self._folder.glob("v*.keras")]
            version = f"v{1 + max((int(number) for number in numbers if number.isdecimal()), default=0)}"
            path = Path(staging, "model.keras")
            model.save(path)
            os.replace(path, self._folder / f"{version}.keras")
            note = Path(staging, "current")
            note.write_text(version)
            os.replace(note, self._current)
        return version

    def current_version(self) -> str | None:
        """Version of the model that scores now; None before the first was published."""
        try:
            return self._current.read_text()
        except FileNotFoundError:
            return None

    def load(self, version: str) -> keras.Model:
        """Load a published model.

        Raises:
            LabError: There is none of that version, its file cannot be read, or its shapes are others.
        """
        path = self._folder / f"{version}.keras"
        try:
            model: Any = keras.models.load_model(path, compile=False)
        except Exception as error:  # Whatever Keras, ZIP and HDF5 raise for a file that is not theirs.
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise LabError(f"model {version} cannot be loaded: {reason}", "train and publish it again") from error
        check_shapes(model)  # Somebody may have put it there by hand.
        return model


class NewestModel:
    """The newest published model that can score. One that cannot is told once, and the one before stays.

    Args:
        store: Where models are published.
    """

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._seen: str | None = None
        self._found: tuple[str, keras.Model] | None = None

    def get(self) -> tuple[str, keras.Model]:
        """Its version and the model.

        Raises:
            LabError: There is none, or the only one cannot score; that one is tried anew each time.
        """
        version = self._store.current_version()
        if version is not None and version != self._seen:
            try:
                self._found = version, self._store.load(version)
            except LabError as error:
                if self._found is None:
                    raise
                log.error("model %s is not taken: %s", version, error)
            self._seen = version
        if self._found is None:
            raise LabError("there is no model to score with", "lab.publish(model), or: labkit train")
        return self._found
