"""Every notebook, run from top to bottom by papermill and by nbval, on the real servers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
import pytest

from labkit.settings import CHECKOUT

NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def newcomers_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a newcomer has: an empty lab, apart from the other tests' and what these leave in their topics.

    The notebooks start its servers themselves; their kernels inherit the environment.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LABKIT_HOME", str(tmp_path_factory.mktemp("newcomer") / "lab"))
        yield
        subprocess.run([sys.executable, "-m", "labkit", "down"], check=True, timeout=120)


@pytest.mark.usefixtures("newcomers_lab")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill(notebook: Path, tmp_path: Path) -> None:
    output = tmp_path / notebook.name
    papermill.execute_notebook(
        notebook, output, parameters={"samples": 7}, cwd=notebook.parent, execution_timeout=300, progress_bar=False
    )
    cells = nbformat.read(output, as_version=4).cells
    assert any("injected-parameters" in cell.metadata.get("tags", []) for cell in cells)
    warnings = [
        text
        for cell in cells
        for out in cell.get("outputs", [])
        if out.output_type == "stream" and out.name == "stderr" and (text := out.text.strip())
    ]
    assert warnings == [], "a lesson's cells are quiet"
    assert any(
        'class="labkit-still"' in str(out.get("data", {}).get("text/html", ""))
        for cell in cells
        for out in cell.get("outputs", [])
    ), "the dashboard leaves a picture"


@pytest.mark.usefixtures("newcomers_lab")
def test_nbval() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-cell-timeout=300",
        "-p",
        "no:cacheprovider",
        "-q",
    ]
    result = subprocess.run(
        [*command, *NOTEBOOKS], capture_output=True, text=True, cwd=CHECKOUT / "notebooks", timeout=560
    )
    assert result.returncode == 0, result.stdout[-4000:]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_real_and_clean(notebook: Path) -> None:
    document = nbformat.read(notebook, as_version=4)
    code = [cell for cell in document.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "a cell was never run"
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    assert document.metadata.kernelspec.name == "python3"
