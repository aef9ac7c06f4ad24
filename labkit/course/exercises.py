"""Exercise notebooks, made from their solutions.

A solution notebook is the source. In its code cells, the lines between ``# solution: answer`` and ``# end of solution``
are what a learner is to write. The exercise has ``answer = ...`` there, and the solution folded away below the cell.
A solution that yields no name, ``# solution`` alone, leaves three dots.
"""

import re

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from labkit.errors import LabError

BLOCK = re.compile(
    r"^(?P<indent> *)# solution(: (?P<name>\w+))?\n(?P<code>.*?)^ *# end of solution$", re.DOTALL | re.MULTILINE
)
CHECK_OUTPUT = "nbval-check-output"

FOLDED = """<details><summary><b>Solution</b></summary>

```python
{code}
```

</details>"""


def make_exercise(solution: NotebookNode) -> NotebookNode:
    """The exercise of a solution notebook: without outputs, the solutions folded away.

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
        # There is no stored output left to compare with.
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != CHECK_OUTPUT]
        copy.metadata = NotebookNode({**cell.metadata, "tags": tags} if tags else {})
        blocks = list(BLOCK.finditer(cell.source))
        if len(blocks) != cell.source.count("# solution"):
            raise LabError(f"cell {cell.get('id')}: a solution is not closed", "end it with: # end of solution")
        if blocks:
            copy.source = BLOCK.sub(_stub, cell.source)
            folded = "\n\n".join(_unindented(block) for block in blocks)
            exercise.cells.append(new_markdown_cell(FOLDED.format(code=folded), id=f"{cell.id}-solution"))
    return exercise


def _stub(block: re.Match[str]) -> str:
    return f"{block['indent']}{block['name']} = ..." if block["name"] else f"{block['indent']}..."


def _unindented(block: re.Match[str]) -> str:
    indent = len(block["indent"])
    return "\n".join(line[indent:] for line in block["code"].splitlines())
