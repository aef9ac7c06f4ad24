"""What an import raises reaches the caller; that an interrupt leaves it whole is tested with a kernel."""

import sys
from pathlib import Path

import pytest

from labkit.model.whole_import import import_whole


def test_what_an_import_raises_reaches_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "good_module.py").write_text("answer = 42\n")
    (tmp_path / "bad_module.py").write_text("raise RuntimeError('no such thing')\n")
    import_whole("good_module")
    assert sys.modules["good_module"].answer == 42
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no such thing"):
            import_whole("bad_module")
    with pytest.raises(ModuleNotFoundError):
        import_whole("no_module")
