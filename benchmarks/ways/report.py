"""The page of a benchmark of the ways: tables and plots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.ways.figures import Bench

TALK, LIMIT = "talk", "pg_recvlogical"
PICTURES = "pictures"
SHOWN_US = 1.0
"""A process that takes less for a row is left out of the plot."""


def write_page(bench: Bench, titles: Mapping[str, str], page: Path) -> None:
    """Write the page, and its plots into the folder ``pictures`` beside it.

    Args:
        bench: What was found.
        titles: What each way is, by its name.
        page: Where to.
    """
    folder = page.parent / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    _rates(bench).savefig(folder / "bench-rates.svg", metadata={"Date": None})
    _processors(bench).savefig(folder / "bench-processor.svg", metadata={"Date": None})
    page.write_text("\n".join(_lines(bench, titles)) + "\n")


def _lines(bench: Bench, titles: Mapping[str, str]) -> list[str]:
    lines = [
        "# From a committed row to its prediction, side by side",
        "",
        f"Made by `make bench` on {bench.date}: {bench.machine}. The servers, the process that inserts "
        "and what scores share them. Compare the lines, and the ratios, not with another machine.",
        "",
        f"Each way has its turn in a lab of its own, {bench.rounds} rounds, every other one in the other order: first "
        f"{bench.warm_up:,} rows to warm up, then {bench.rows:,} rows of 784 bytes by one COPY, from its commit until "
        "the way is done with the last row. Medians, with the range of the rounds in brackets; ratios are of the same "
        "round.",
        "",
        f"| way | rows a second | times the talk's | of {LIMIT}'s | rows that never came |",
        "| --- | --- | --- | --- | --- |",
    ]
    for way in bench.ways:
        times, share = bench.ratio(way, TALK), bench.ratio(way, LIMIT)
        cells = [
            way,
            bench.rate(way).told(),
            "" if times is None else times.told(1),
            "" if share is None else f"{100 * share.median:.0f} %",
            str(bench.lost(way)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"![Rows a second]({PICTURES}/bench-rates.svg)", ""]
    lines += [f"- **{way}**: {titles[way]}" for way in bench.ways if way in titles]
    lines += [
        "",
        "Done means that its prediction is recorded in Kafka. Of talk and csv nothing is recorded: they are done when "
        "TensorFlow has evaluated the row. As the "
        "talk uses it, tensorflow-io hands over 1,024 records at a time and drops the rest where the stream falls "
        "silent: those rows never came. labkit's model that goes on learning learns such a COPY later: that is in no "
        "figure here.",
        "",
        "## Where the time goes",
        "",
        f"![Processor time for a row]({PICTURES}/bench-processor.svg)",
        "",
        "| way | processor, microseconds for a row |",
        "| --- | --- |",
    ]
    for way in filter(bench.processor_us, bench.ways):
        taken = {name: us for name, us in bench.processor_us(way).items() if us >= SHOWN_US}
        words = ", ".join(f"{name} {us:.0f}" for name, us in sorted(taken.items(), key=lambda item: -item[1]))
        lines.append(f"| {way} | {sum(taken.values()):.0f}: {words} |")
    rates = sorted({one.rate for one in bench.latencies})
    if rates:
        lines += [
            "",
            "## Single inserts",
            "",
            "From when an insert is due, each in a transaction of its own and all by one connection, until a reader of "
            "committed records has the prediction: milliseconds, p50 and p99.",
            "",
            "| way | " + " | ".join(f"{rate} a second, p50 | p99" for rate in rates) + " |",
            "| --- |" + " --- | --- |" * len(rates),
        ]
        for way in bench.ways:
            cells = [bench.latency(way, rate) for rate in rates]
            if any(cells):
                told = [spread.told(1) if spread else "" for cell in cells for spread in cell or (None, None)]
                lines.append(f"| {way} | " + " | ".join(told) + " |")
    return lines


def _rates(bench: Bench) -> Figure:
    figure = Figure(figsize=(8, 0.5 * len(bench.ways) + 1.2), layout="constrained")
    axes: Any = figure.subplots()
    spreads = [bench.rate(way) for way in bench.ways]
    medians = np.array([spread.median for spread in spreads])
    ranges = np.array([[s.median - s.least for s in spreads], [s.most - s.median for s in spreads]])
    bars = axes.barh(bench.ways, medians, xerr=ranges, color="#4c72b0", ecolor="#333333", capsize=3)
    axes.bar_label(bars, [f"{value:,.0f}" for value in medians], padding=6)
    axes.set_xscale("log")
    axes.set_xlim(medians.min() / 2, medians.max() * 3)
    axes.invert_yaxis()
    axes.set_xlabel("rows a second (logarithmic)")
    return figure


def _processors(bench: Bench) -> Figure:
    taken = {way: us for way in bench.ways if (us := bench.processor_us(way))}
    figure = Figure(figsize=(8, 0.5 * len(taken) + 1.6), layout="constrained")
    axes: Any = figure.subplots()
    names = list(dict.fromkeys(name for way in taken.values() for name, us in way.items() if us >= SHOWN_US))
    left = np.zeros(len(taken))
    for name in names:
        values = np.array([us.get(name, 0.0) for us in taken.values()])
        axes.barh(list(taken), values, left=left, label=name)
        left += values
    axes.invert_yaxis()
    axes.set_xlabel("processor time for a row, microseconds, all threads of a process together")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False)
    return figure
