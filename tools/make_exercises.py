"""Make the exercise notebooks from their solutions. CI fails where the two differ."""

import sys
from pathlib import Path

import nbformat

from labkit.course.exercises import make_exercise

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
SOLUTIONS = NOTEBOOKS / "solutions"


def exercise_text(solution: Path) -> str:
    """What the exercise notebook of a solution must hold."""
    return nbformat.writes(make_exercise(nbformat.read(solution, as_version=4))) + "\n"


def main() -> None:
    """Write every exercise notebook anew."""
    for solution in sorted(SOLUTIONS.glob("*.ipynb")):
        (NOTEBOOKS / solution.name).write_text(exercise_text(solution))
        print(f"made {solution.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
