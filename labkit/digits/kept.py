"""Digits that were prepared before, kept on disk: thousands of varied copies take seconds to make."""

import hashlib
import os
import zipfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np

from labkit.digits.digit import Digits
from labkit.digits.sources import Split, load_digits

PACKAGES = ("numpy", "pillow", "scikit-learn", "scipy")
"""What the copies are made with: another version may round otherwise."""


def load_kept_digits(folder: Path, source: str, split: Split, augment: int | None = None) -> Digits:
    """As `load_digits`, and made once only: the next call, also of another process, reads what the first has left.

    A file that is damaged is made anew. Where none can be written, as on a full disk, nothing is kept.

    Args:
        folder: Where they are kept, some MB each; it is made when needed.
        source: ``bundled`` or ``mnist``.
        split: ``train`` or ``test``.
        augment: Varied copies of each digit; by default what the source needs.

    Raises:
        LabError: As `load_digits`.
    """
    path = folder / f"{source}-{split}-{'default' if augment is None else augment}-{_fingerprint()}.npz"
    # What the file raises depends on where it is damaged.
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile), np.load(path) as kept:
        return Digits(kept["images"], kept["labels"], str(kept["source"]))
    digits = load_digits(source, split, augment)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            np.savez(file, images=digits.images, labels=digits.labels, source=digits.source)
        os.replace(unfinished, path)
    except OSError:
        pass
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return digits


def _fingerprint() -> str:
    """Of all that decides how the digits look: this package's code, and what it calls."""
    digest = hashlib.sha256(" ".join(map(version, PACKAGES)).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
