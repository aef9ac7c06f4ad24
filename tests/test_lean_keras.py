"""A scorer's process imports no more than it needs."""

import subprocess
import sys
from pathlib import Path

CODE = """
import contextlib, gc, sys
from labkit.model.lean_keras import UNUSED, lean_imports
with lean_imports() if {lean} else contextlib.nullcontext():
    import labkit.model.scorer, labkit.model.http_scorer
assert gc.isenabled()
from labkit.model.network import build_network
build_network(seed=1).save(sys.argv[1])
print([name for name in UNUSED if sys.modules.get(name)])
"""


def imported(folder: Path, *, lean: bool) -> str:
    """Which of the unused packages a process has imported that saved a network."""
    command = [sys.executable, "-c", CODE.format(lean=lean), f"{folder}/network.keras"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_keras_works_without_what_it_would_import_unused(tmp_path: Path) -> None:
    assert imported(tmp_path, lean=True) == "[]"
    assert imported(tmp_path, lean=False) == "['matplotlib', 'sklearn']", "else there is nothing to leave out any more"
