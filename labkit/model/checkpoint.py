"""A checkpoint of the model that goes on learning: weights and offsets in one file, all of it or nothing.

The file begins with a line that tells its format and the SHA-256 of what follows: an .npz archive without pickled
objects. It is written beside its place, synced to the disk, and only then put there.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.errors import LabError
from labkit.model.continual import ContinualState

FORMAT = 1
"""To be raised when the file's form changes, or the way of learning: then the same digits give other weights."""
MAGIC = "labkit-learner"
ABOUT = "about"
"""The array that holds, as JSON, what is no array."""


class CheckpointError(LabError):
    """A file that is no checkpoint which this labkit can go on from."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a learner between two events.

    Attributes:
        version: The published model that it began from.
        published: That model's fingerprint, see `fingerprint`.
        topic: The id of the events topic, see `labkit.stream.topics.topic_id`.
        began: By partition, the offset of the first event that it could learn from.
        positions: By partition, the offset of the next event that it has not read.
        state: The model's.
    """

    version: str
    published: str
    topic: str
    began: Mapping[int, int]
    positions: Mapping[int, int]
    state: ContinualState


class CheckpointFile:
    """The one file that holds a lab's checkpoint. One process at a time may write it.

    Args:
        path: Where it is; its folder must be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f"{path.name}.part")

    def save(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of the one before. A process that is killed meanwhile leaves that one.

        Raises:
            OSError: It cannot be written: the disk is full. The one before is still there.
        """
        content = _encode(checkpoint)
        head = f"{MAGIC} {FORMAT} {hashlib.sha256(content).hexdigest()}\n".encode()
        try:
            with self._part.open("wb") as part:
                part.write(head + content)
                part.flush()
                os.fsync(part.fileno())
            os.replace(self._part, self.path)
        except OSError:
            self._part.unlink(missing_ok=True)
            raise
        # The new name must be on the disk, too, or a power cut would bring back the old one.
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def load(self) -> Checkpoint | None:
        """The checkpoint; None where there is none yet.

        Raises:
            CheckpointError: The file is damaged or of another format; the message says which.
        """
        try:
            head, _, content = self.path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"it cannot be read: {error}") from error
        words = head.decode("ascii", "replace").split(" ")
        if len(words) != 3 or words[0] != MAGIC:
            raise CheckpointError("it is damaged: it does not begin like a checkpoint")
        if words[1] != str(FORMAT):
            raise CheckpointError(f"it has format {words[1]}, and this labkit reads format {FORMAT}")
        if words[2] != hashlib.sha256(content).hexdigest():
            raise CheckpointError("it is damaged: its checksum is not that of its content")
        try:
            return _decode(content)
        except (ValueError, TypeError, KeyError, AttributeError, OSError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"it is damaged: {type(error).__name__}: {error}") from error

    def set_aside(self) -> Path:
        """Move a file that cannot be used out of the way, for whoever wants to look at it. Returns where it is."""
        aside = self.path.with_name(f"{self.path.name}.refused")
        os.replace(self.path, aside)
        return aside


def fingerprint(weights: list[npt.NDArray[Any]]) -> str:
    """The SHA-256 of a model's weights."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(f"{weight.dtype} {weight.shape}".encode() + weight.tobytes())
    return digest.hexdigest()


def _encode(checkpoint: Checkpoint) -> bytes:
    about = {
        "version": checkpoint.version,
        "published": checkpoint.published,
        "topic": checkpoint.topic,
        "began": dict(checkpoint.began),
        "positions": dict(checkpoint.positions),
        "learned": checkpoint.state.learned,
        "random": checkpoint.state.random,
    }
    arrays = {**checkpoint.state.arrays, ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)}
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def _decode(content: bytes) -> Checkpoint:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    about = json.loads(arrays.pop(ABOUT).tobytes())
    return Checkpoint(
        version=about["version"],
        published=about["published"],
        topic=about["topic"],
        began=_offsets(about["began"]),
        positions=_offsets(about["positions"]),
        state=ContinualState(arrays, int(about["learned"]), about["random"]),
    )


def _offsets(told: Mapping[str, int]) -> dict[int, int]:
    return {int(partition): int(offset) for partition, offset in told.items()}
