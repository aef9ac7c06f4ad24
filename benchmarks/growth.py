"""What a row costs, and what is kept for all of them, while a lab grows from ten thousand rows to a million.

    .venv/bin/python -m benchmarks.growth --rows 1000000

A lab of its own captures by Kafka Connect and scores, and a process has its dashboard open. At some sizes 10,000 more
rows are inserted by one COPY: how many a second have their prediction recorded, what each process took for a row, and
how much memory it has. It prints as it goes, and writes build/growth.json and the page docs/growth.md.
"""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from benchmarks.bench import copied, rest
from benchmarks.own_lab import machine, own_lab, own_settings
from benchmarks.ways.child import Where
from benchmarks.ways.lab_scorer import Bytes
from benchmarks.ways.way import PATIENCE_S, Child
from labkit import LabError
from labkit.model.network import build_network
from labkit.settings import CHECKOUT
from labkit.stack.keeper import memory_mib

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
LOOKED_AT = 10_000
FILLED_AT_ONCE = 50_000


class Stage(BaseModel):
    """A lab at one size.

    Attributes:
        rows: How many it has by now.
        rate: Rows a second, of the last ones.
        processor_us: What each process took for one of them, microseconds.
        memory_mib: Memory of each process, MiB.
    """

    rows: int
    rate: float
    processor_us: dict[str, float]
    memory_mib: dict[str, float]

    @property
    def line(self) -> str:
        """A line of the page's table."""
        memory = ", ".join(f"{name} {mib:.0f}" for name, mib in self.memory_mib.items())
        return (
            f"| {self.rows:,} | {self.rate:,.0f} | {sum(self.processor_us.values()):.0f} "
            f"| {sum(self.memory_mib.values()):,.0f} ({memory}) |"
        )


class Watched(Bytes):
    """The lab's own way, with a dashboard open."""

    def start(self) -> None:
        """Capture, score, and open the dashboard."""
        super().start()
        where = Where(kafka=self.lab.kafka, models=self.lab.settings.home / "models")
        self._dashboard = Child("benchmarks.ways.watching", where, self.lab.settings.home / "logs" / "dashboard.log")

    def stop(self) -> None:
        """Close the dashboard."""
        self._dashboard.stop()

    @property
    def own_pids(self) -> Mapping[str, int]:
        """The dashboard's process."""
        return {"dashboard": self._dashboard.pid}

    def wait_shown(self, rows: int) -> None:
        """Wait until the dashboard has read the predictions of so many rows.

        Raises:
            LabError: It does not.
        """
        shown = -1.0
        while shown < rows:
            said = self._dashboard.hear(PATIENCE_S)
            if said is None:
                raise LabError(f"the dashboard has fallen silent at {shown:,.0f} of {rows:,} rows")
            shown = said["rows"]

    def memory_mib(self) -> dict[str, float]:
        """Memory by process, MiB."""
        lab = {status.name: status.rss_mib for status in self.lab.stack.status() if status.pid}
        return lab | {"dashboard": memory_mib(self._dashboard.pid)}


def grow(way: Watched, sizes: Sequence[int]) -> list[Stage]:
    """Insert rows, and look at some sizes."""
    stages: list[Stage] = []
    there = 0
    for size in sizes:
        while (missing := size - LOOKED_AT - there) > 0:
            there += copied(way, min(FILLED_AT_ONCE, missing)).done
        way.wait_shown(there)
        rest(way)
        turn = copied(way, LOOKED_AT)
        there += turn.done
        way.wait_shown(there)
        stage = Stage(rows=there, rate=turn.rate, processor_us=turn.processor_us, memory_mib=way.memory_mib())
        typer.echo(stage.line, err=True)
        stages.append(stage)
    return stages


def page(stages: Sequence[Stage]) -> str:
    """The page."""
    rows = "\n".join(stage.line for stage in stages)
    return f"""# From ten thousand rows to a million

Made by `python -m benchmarks.growth` on {datetime.date.today().isoformat()}: {machine()}.

A lab that captures by Kafka Connect and scores, with a dashboard open. Rows a second and processor time are those of
the last {LOOKED_AT:,} rows at that size, inserted by one COPY, until their predictions are recorded; microseconds for a
row, all processes together.

| rows | rows a second | µs of the processor | memory, MiB |
| ---: | ---: | ---: | --- |
{rows}
"""


def main(
    rows: Annotated[int, typer.Option(min=SIZES[0], help="How far to grow.")] = SIZES[-1],
    output: Annotated[Path, typer.Option(help="Where the figures are written.")] = CHECKOUT / "build" / "growth.json",
    where: Annotated[Path, typer.Option("--page", help="Where the page is written.")] = CHECKOUT / "docs" / "growth.md",
) -> None:
    """Run it."""
    with own_lab("growth", own_settings(capture="connect")) as lab:
        lab.publish(build_network(seed=1))
        way = Watched(lab)
        way.start()
        try:
            stages = grow(way, [size for size in SIZES if size <= rows])
        finally:
            way.stop()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("[" + ",\n".join(stage.model_dump_json() for stage in stages) + "]\n")
    where.write_text(page(stages))
    typer.echo(where.read_text())


if __name__ == "__main__":
    typer.run(main)
