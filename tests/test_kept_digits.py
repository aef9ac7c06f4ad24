"""Prepared digits on disk: the same as those that were made, and made anew where they cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from labkit import LabError
from labkit.digits import kept, load_digits, load_kept_digits


def test_they_are_the_same_and_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = load_kept_digits(tmp_path / "digits", "bundled", "train", 1)
    wanted = load_digits("bundled", "train", 1)
    monkeypatch.setattr(kept, "load_digits", lambda *_: pytest.fail("they are there already"))
    read = load_kept_digits(tmp_path / "digits", "bundled", "train", 1)
    for digits in (made, read):
        assert (digits.images == wanted.images).all() and (digits.labels == wanted.labels).all()
        assert (digits.images.dtype, digits.labels.dtype, digits.source) == (np.uint8, np.uint8, wanted.source)
    assert len(list((tmp_path / "digits").iterdir())) == 1, "one file, whole"


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_file_is_made_anew(damage: bytes | None, tmp_path: Path) -> None:
    wanted = load_kept_digits(tmp_path, "bundled", "test")
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    assert (load_kept_digits(tmp_path, "bundled", "test").images == wanted.images).all()
    with np.load(path) as archive:
        assert (archive["images"] == wanted.images).all()


def test_where_nothing_can_be_kept_they_are_there_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(load_kept_digits(tmp_path / "file", "bundled", "test")) == 500


def test_an_unknown_source_is_named_as_ever(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no source of digits 'bundeld'.*'bundled'"):
        load_kept_digits(tmp_path, "bundeld", "train")
