"""Streaming k-means on iris over 100 seeds: the course of the example's score, and what beats it.

    .venv/bin/python -m benchmarks.iris

No server is needed. It writes tables to docs/iris.md and a picture beside them; the same code gives the same tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from labkit.online.iris import CLASSES, TEST_ROWS, Flowers, load_flowers, split
from labkit.online.matching import count_right
from labkit.online.recipes import COUNT, EXAMPLE, RECIPES, Recipe
from labkit.online.validation import score_phases, validate_progressively
from labkit.settings import CHECKOUT

SEEDS = 100
PICTURE = Path("pictures") / "iris.svg"
PHASES = ("the first 1 %", "the rest", "the rest once more")
MEAN_OF = 15
"""Rows that are averaged in the picture."""
LAST = 50
"""Rows at the end, by which every recipe has had time to learn."""
PAGE = """\
# Iris: the course of the score, and what beats it

Made by `.venv/bin/python -m benchmarks.iris` of {seeds} seeds, without a server. The rule is that of Spark's
StreamingKMeans, see `labkit/online/kmeans.py`; `tests/test_iris.py` compares it with Spark's own.

![The course of the score and progressive validation]({picture})

## The example's course

Starts (6, 3, 1, 0), (6, 3, 2, 1), (6, 3, 3, 2) with weight 0. Each seed shuffles the 139 training rows. The first 1 %
is one row; it, the 138 others, and those once more are one mini-batch each. After each, the eleven published test
rows are scored, their clusters matched to labels by the assignment that is best for these eleven, as one does it by
hand. Seeds by how many of the eleven are right:

{course}

The example told one run of each engine, of a split that it did not note: 5, then 7, then 9 right on Flink, and 11 at
the end on Spark.

The first row decides much. Its centre takes weight 1, the two others have 0: by Spark's rule a cluster below 1e-8 of
the largest one's weight is dying, and gets one half of the largest. So with the very first mini-batch one of the
three starts is given up for a second centre at the first row. At the end, by the class of that row:

{first_rows}

Eleven rows are few: they are the example's, and no measure of what is better. The same of every recipe, as means, and
in how many seeds all eleven are right at the end:

| recipe | {phase_names} | all right |
| --- | --- | --- | --- | --- |
{phases}

A recipe that waits for its first 10 or 20 rows has one cluster until then: 6 of the eleven are versicolor.

## Progressive validation on all 150 rows

Each seed shuffles the 150 rows. Each row is predicted and then learned, one at a time. A cluster means the label that
the assignment gives it on the rows seen before; no label is looked at earlier. Accuracy in percent, the difference to
the example's in the same seeds with its standard error, in how many seeds it is better or worse, the worst seed, and
the accuracy over the last {last} rows:

| recipe | mean | difference | better / worse | worst seed | last {last} rows |
| --- | --- | --- | --- | --- | --- |
{progressive}

For comparison: batch k-means that sees all rows at once, with 50 starts, has {ceiling} % of them right.

- **Better starts** do the most for the mean, and points far from each other more than drawn ones. A mean
  hides much: k-means++ is worse in more seeds than it is better. What is waited for costs: of 20 rows
  in place of 10 they are hardly better over the last {last} rows ({longer_last} points, in the same
  seeds), and worse over all ({longer}).
- **Decay** helps the example's starts: what the first rows have spoilt is forgotten. With better starts it makes
  hardly a difference.
- **Scaling** makes it worse, whatever the starts. In centimetres the length of the petals, which parts the species,
  varies the most and so counts the most; scaled, it counts no more than the sepals' width.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What came of a recipe.

    Attributes:
        recipe: Which.
        phases: Test rows that were right, shape (seeds, 3).
        right: Whether each row's prediction was right, shape (seeds, rows).
    """

    recipe: Recipe
    phases: npt.NDArray[np.int64]
    right: npt.NDArray[np.bool_]

    @property
    def accuracies(self) -> npt.NDArray[np.float64]:
        """By progressive validation over all rows, percent, shape (seeds,)."""
        return 100 * self.right.mean(axis=1)

    @property
    def last_accuracies(self) -> npt.NDArray[np.float64]:
        """The same over the last rows."""
        return 100 * self.right[:, -LAST:].mean(axis=1)


def phases_of(recipe: Recipe, flowers: Flowers, seeds: int = SEEDS) -> npt.NDArray[np.int64]:
    """Test rows that are right after each phase, shape (seeds, 3)."""
    return np.array([score_phases(recipe, split(flowers, seed), seed) for seed in range(seeds)])


def measure(recipe: Recipe, flowers: Flowers, seeds: int = SEEDS) -> Result:
    """Try a recipe over the seeds."""
    right = np.array([validate_progressively(recipe, flowers, seed) for seed in range(seeds)])
    return Result(recipe, phases_of(recipe, flowers, seeds), right)


def ceiling(flowers: Flowers) -> float:
    """Percent of all rows that batch k-means with as many starts as one likes has right, the labels told."""
    from sklearn.cluster import KMeans

    kmeans: Any = KMeans
    model = kmeans(COUNT, n_init=50, random_state=0)
    return 100 * count_right(model.fit_predict(flowers.features), flowers.labels, COUNT) / len(flowers)


def course_table(phases: npt.NDArray[np.int64]) -> list[str]:
    """How many seeds had how many test rows right after each phase."""
    scores = range(int(phases.min()), len(TEST_ROWS) + 1)
    lines = [f"| after | {' | '.join(map(str, scores))} | mean |", "| --- |" + " --- |" * (len(scores) + 1)]
    for name, column in zip(PHASES, phases.T, strict=True):
        counts = " | ".join(str(int((column == score).sum())) for score in scores)
        lines.append(f"| {name} | {counts} | {column.mean():.2f} |")
    return lines


def first_row_table(phases: npt.NDArray[np.int64], flowers: Flowers) -> list[str]:
    """How many seeds had how many test rows right at the end, by the class of the very first row."""
    scores = range(int(phases.min()), len(TEST_ROWS) + 1)
    lines = [f"| first row | {' | '.join(map(str, scores))} |", "| --- |" + " --- |" * len(scores)]
    first = np.array([split(flowers, seed).first.labels[0] for seed in range(len(phases))])
    for label, name in enumerate(CLASSES):
        last = phases[first == label, 2]
        lines.append(f"| {name} | {' | '.join(str(int((last == score).sum())) for score in scores)} |")
    return lines


def phase_row(recipe: Recipe, phases: npt.NDArray[np.int64]) -> str:
    """A recipe's line in the table of phases."""
    means = " | ".join(f"{mean:.2f}" for mean in phases.mean(axis=0))
    return f"| {recipe.name} | {means} | {int((phases[:, 2] == len(TEST_ROWS)).sum())} |"


def paired(differences: npt.NDArray[np.float64]) -> str:
    """The mean of what two recipes differ by in each seed, with its standard error."""
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return f"{differences.mean():+.1f} ± {error:.1f}"


def progressive_row(result: Result, example: Result) -> str:
    """A recipe's line in the table of progressive validation."""
    accuracies, difference = result.accuracies, result.accuracies - example.accuracies
    against = "" if result is example else paired(difference)
    seeds = "" if result is example else f"{int((difference > 0).sum())} / {int((difference < 0).sum())}"
    worst, last = accuracies.min(), result.last_accuracies.mean()
    return f"| {result.recipe.name} | {accuracies.mean():.1f} | {against} | {seeds} | {worst:.1f} | {last:.1f} |"


def page(results: Sequence[Result], flowers: Flowers) -> str:
    """The figures as a page."""
    example = results[0]
    by_name = {result.recipe.name: result for result in results}
    ten, twenty = (by_name[f"starts: farthest of the first {first}"] for first in (10, 20))
    return PAGE.format(
        seeds=len(example.phases),
        picture=PICTURE.as_posix(),
        course="\n".join(course_table(example.phases)),
        first_rows="\n".join(first_row_table(example.phases, flowers)),
        phase_names=" | ".join(PHASES),
        phases="\n".join(phase_row(result.recipe, result.phases) for result in results),
        last=LAST,
        progressive="\n".join(progressive_row(result, example) for result in results),
        ceiling=f"{ceiling(flowers):.1f}",
        longer=paired(twenty.accuracies - ten.accuracies),
        longer_last=paired(twenty.last_accuracies - ten.last_accuracies),
    )


def draw(results: Sequence[Result], path: Path) -> None:
    """The picture: how the example's score is spread, and how accuracy grows with the rows."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    axes: Any = figure.subplots(1, 2)
    scores = np.arange(int(results[0].phases.min()), len(TEST_ROWS) + 1)
    for place, (name, column) in enumerate(zip(PHASES, results[0].phases.T, strict=True)):
        counts = [(column == score).sum() for score in scores]
        axes[0].bar(scores + 0.27 * (place - 1), counts, 0.25, label=name)
    axes[0].set(title="The example's: right of 11", xlabel="test rows right", ylabel="seeds", xticks=scores)
    axes[0].legend(title="after")
    for result in results:
        if result.recipe in SHOWN:
            means = np.convolve(result.right.mean(axis=0), np.ones(MEAN_OF) / MEAN_OF, "valid")
            axes[1].plot(np.arange(MEAN_OF, MEAN_OF + len(means)), 100 * means, label=result.recipe.name)
    axes[1].set(
        title=f"Progressive validation, mean of {MEAN_OF} rows", xlabel="row", ylabel="right, %", ylim=(40, 100)
    )
    axes[1].legend(loc="lower right", fontsize=8)
    path.parent.mkdir(exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "labkit"}):
        figure.savefig(path, metadata={"Date": None})


SHOWN = tuple(RECIPES[number] for number in (0, 1, 3, 5, 6, 7))
"""The recipes in the picture; all of them would hide each other."""


def main(
    seeds: Annotated[int, typer.Option(min=2, help="How many.")] = SEEDS,
    output: Annotated[Path, typer.Option(help="Where the tables are written.")] = CHECKOUT / "docs" / "iris.md",
) -> None:
    """Run it: some minutes."""
    flowers = load_flowers()
    results: list[Result] = []
    for recipe in RECIPES:
        typer.echo(f"{recipe.name} …", err=True)
        results.append(measure(recipe, flowers, seeds))
    assert results[0].recipe == EXAMPLE
    draw(results, output.parent / PICTURE)
    output.write_text(page(results, flowers))
    typer.echo(output)


if __name__ == "__main__":
    typer.run(main)
