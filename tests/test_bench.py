"""The benchmark of the ways: what it makes of its figures, and, on demand, each way for real."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.bench import WAYS, app
from benchmarks.ways.figures import Bench, Latency, Spread, Turn
from benchmarks.ways.report import write_page


def turn(way: str, seconds: float, done: int = 1000) -> Turn:
    taken = {"kafka": 10.0 * seconds, "idle": 0.1}
    return Turn(way=way, rows=1000, done=done, seconds=seconds, processor_us=taken)


BENCH = Bench(
    machine="a machine",
    date="2026-01-02",
    rows=1000,
    warm_up=100,
    rounds=2,
    # The second round is twice as slow for all: the ratio of a round does not see that.
    turns=[turn("talk", 10, 900), turn("bytes", 1), turn("bytes", 2), turn("talk", 20, 900)],
    latencies=[
        Latency(way="bytes", rate=20, reached=20, p50_ms=10, p99_ms=30),
        Latency(way="bytes", rate=20, reached=20, p50_ms=14, p99_ms=50),
    ],
)


def test_rates_and_ratios_are_told_with_their_spread() -> None:
    assert BENCH.rate("bytes") == Spread(median=750, least=500, most=1000)
    assert BENCH.rate("talk") == Spread(median=67.5, least=45, most=90), "rows that never came do not count"
    ratio = BENCH.ratio("bytes", "talk")
    assert ratio is not None and ratio.least == ratio.most == pytest.approx(1000 / 90)
    assert BENCH.ratio("bytes", "pg_recvlogical") is None
    assert (BENCH.lost("talk"), BENCH.lost("bytes")) == (200, 0)
    assert BENCH.processor_us("bytes")["kafka"] == 15
    assert BENCH.latency("bytes", 20) == (Spread(12, 10, 14), Spread(40, 30, 50))
    assert BENCH.latency("talk", 20) is None
    assert Spread(1234.5, 1000, 2000).told() == "1,234 (1,000 to 2,000)"
    assert Spread(1, 1, 1).told(1) == "1.0"


def test_the_page_has_a_line_for_each_way_and_two_plots(tmp_path: Path) -> None:
    write_page(BENCH, {"bytes": "labkit's"}, tmp_path / "bench.md")
    page = (tmp_path / "bench.md").read_text()
    assert "| bytes | 750 (500 to 1,000) | 11.1 |  | 0 |" in page
    assert "| talk | 68 (45 to 90) | 1.0 |  | 200 |" in page
    assert "| bytes | 15: kafka 15 |" in page
    assert "| bytes | 12.0 (10.0 to 14.0) | 40.0 (30.0 to 50.0) |" in page
    for plot in ("bench-rates.svg", "bench-processor.svg"):
        assert f"(pictures/{plot})" in page
        assert "<svg" in (tmp_path / "pictures" / plot).read_text()


def test_an_unknown_way_is_refused_before_anything_starts() -> None:
    result = CliRunner().invoke(app, ["--way", "fax"])
    assert result.exit_code == 1
    assert "there is no way 'fax'" in result.output and "pg_recvlogical" in result.output


@pytest.mark.on_demand
@pytest.mark.parametrize("name", [way.name for way in WAYS])
def test_each_way_is_done_with_its_rows(name: str, tmp_path: Path) -> None:
    written, page = tmp_path / "bench.json", tmp_path / "bench.md"
    options = ["--rounds", "1", "--rows", "5000", "--warm-up", "5000", "--seconds", "1", "--way", name]
    result = CliRunner().invoke(app, [*options, "--output", str(written), "--page", str(page)])
    assert result.exit_code == 0, result.output
    (turn,) = Bench.model_validate_json(written.read_text()).turns
    # As the talk uses it, tensorflow-io keeps back what is less than 1,024.
    assert turn.done >= (5000 if name != "talk" else 2048)
