"""Where digits come from, by name."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from labkit.digits.augment import augment as augmented
from labkit.digits.bundled import load_bundled
from labkit.digits.digit import Digits
from labkit.digits.mnist import load_mnist
from labkit.digits.printed import load_printed
from labkit.errors import LabError

Split = Literal["train", "test"]

SOURCES: Mapping[str, Callable[[Split], Digits]] = {"bundled": load_bundled, "mnist": load_mnist}
COPIES: Mapping[str, int] = {"bundled": 4, "mnist": 0}
"""Copies of each training digit by default: the bundled digits are few and all of one pen, MNIST needs none."""
PRINTED_COPIES = 7
"""Copies of each printed digit that the default training digits hold besides: few writers show few shapes."""


def load_digits(source: str = "bundled", split: str = "train", augment: int | None = None, seed: int = 0) -> Digits:
    """Load digits. Training and test digits are never the same.

    Args:
        source: ``bundled``, which always works, or ``mnist``, which is downloaded.
        split: ``train`` or ``test``.
        augment: Varied copies of each digit; by default what the source needs for training, and none for a test.
            ``bundled`` then also mixes in printed digits and their copies; a number gives handwritten digits alone.
        seed: Makes the copies repeatable.

    Raises:
        LabError: An unknown source or split, a bad number of copies, or MNIST could not be downloaded.
    """
    _check_name(source, SOURCES, "source of digits")
    if split not in ("train", "test"):
        raise LabError(f"there is no split {split!r}", "'train' or 'test'")
    copies: Any = augment if augment is not None else COPIES[source] if split == "train" else 0
    if isinstance(copies, bool) or not isinstance(copies, int) or not 0 <= copies <= 50:
        raise LabError(f"{copies!r} copies of each digit cannot be made", "a whole number from 0 to 50")
    digits = SOURCES[source](split)
    if copies:
        digits = augmented(digits, copies, seed)
    if augment is None and source == "bundled" and split == "train":
        digits = digits.join(augmented(load_printed(), PRINTED_COPIES, seed)).shuffle(seed)
    return digits


def _check_name(name: Any, known: Mapping[str, object], what: str) -> None:
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        raise LabError(
            f"there is no {what} {name!r}", f"did you mean {near[0]!r}?" if near else f"one of {', '.join(known)}"
        )
