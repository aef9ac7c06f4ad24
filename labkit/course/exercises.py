"""Exercise notebooks, made from their solutions.

A solution notebook is the source. In its code cells the lines between ``# solution`` and ``# end of solution`` are what
a learner is to write. The exercise has three dots there, and the solution folded away below the cell.
"""

import re
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from labkit.errors import LabError

BLOCK = re.compile(r"^(?P<indent> *)# solution\n(?P<code>.*?)^ *# end of solution$", re.DOTALL | re.MULTILINE)
ASSIGNMENT = re.compile(r"^ *(?P<name>[A-Za-z_]\w*) *= ")

FOLDED = """<details><summary><b>Solution</b></summary>

```python
{code}
```

</details>"""


def make_exercise(solution: NotebookNode) -> NotebookNode:
    """The exercise of a solution notebook: without outputs, the solutions folded away.

    A solution that is one assignment leaves its name: ``rows = ...``. Any other leaves ``...``.

    Raises:
        LabError: A solution is opened and never closed.
    """
    exercise = NotebookNode(solution.copy())
    exercise.cells = []
    for cell in solution.cells:
        copy = NotebookNode(cell.copy())
        exercise.cells.append(copy)
        if cell.cell_type != "code":
            continue
        copy.update(outputs=[], execution_count=None)
        blocks = list(BLOCK.finditer(cell.source))
        if len(blocks) != cell.source.count("# solution"):
            raise LabError(f"cell {cell.get('id')}: a solution is not closed", "end it with: # end of solution")
        if blocks:
            copy.source = BLOCK.sub(_stub, cell.source)
            folded = "\n\n".join(_unindented(block) for block in blocks)
            exercise.cells.append(new_markdown_cell(FOLDED.format(code=folded), id=f"{cell.id}-solution"))
    return exercise


def without_results(notebook: NotebookNode) -> dict[str, Any]:
    """What two notebooks must share to count as the same: cells and metadata, but nothing that a run leaves."""
    cells = [
        {"id": cell.id, "type": cell.cell_type, "source": cell.source, "tags": cell.metadata.get("tags", [])}
        for cell in notebook.cells
    ]
    return {"cells": cells, "kernelspec": notebook.metadata.get("kernelspec")}


def _stub(block: re.Match[str]) -> str:
    lines = block["code"].splitlines()
    name = ASSIGNMENT.match(lines[0]) if lines else None
    one_statement = name is not None and all(
        line.startswith((block["indent"] + " ", ")", "]", "}")) or not line.strip() for line in lines[1:]
    )
    return f"{block['indent']}{name['name']} = ..." if name is not None and one_statement else f"{block['indent']}..."


def _unindented(block: re.Match[str]) -> str:
    indent = len(block["indent"])
    return "\n".join(line[indent:] for line in block["code"].splitlines())
