"""How long after its insert a digit stands on the screen, with its prediction.

    .venv/bin/python -m benchmarks.pixels --inserts 200

It starts a lab of its own, opens the dashboard in Chromium, and inserts digits one by one, each a moment after the one
before is shown. It prints as JSON how many milliseconds passed from right before each insert until the browser had
painted its prediction. The dashboard draws at most 15 times a second: that alone is 33 ms of it on average.
"""

import json
import random
import statistics
import time
from typing import Annotated

import typer
from playwright.sync_api import Page

from benchmarks.dashboard import open_dashboard
from labkit import Lab
from labkit.digits import load_digits
from labkit.model.network import build_network
from labkit.settings import load_settings

# A frame's callbacks run before it is painted; what is put off from there runs after.
NOTE_ROWS = """() => {
  const card = document.querySelector(".labkit-card");
  window.row_shown = [0, 0];
  const painted = () => {
    window.row_shown = [Number(card.dataset.rowId), performance.timeOrigin + performance.now()];
  };
  new MutationObserver(() => requestAnimationFrame(() => setTimeout(painted, 0))).observe(
    card, { attributes: true, attributeFilter: ["data-row-id"] });
}"""
FIRST_INSERTS = 20
"""These are not counted: what is used first is slower."""
PATIENCE_MS = 30_000
APART_S = (0.05, 0.15)
"""Between two inserts, drawn at random: in step with the dashboard's frames, all would wait equally long."""


def delays_ms(lab: Lab, page: Page, inserts: int) -> list[float]:
    """From right before each insert until it is painted, milliseconds."""
    page.evaluate(NOTE_ROWS)
    digits, moments = load_digits("bundled", "test"), random.Random(1)
    delays: list[float] = []
    for number in range(FIRST_INSERTS + inserts):
        time.sleep(moments.uniform(*APART_S))
        began = time.time()
        row_id = lab.insert(digits.images[number % len(digits)], int(digits.labels[number % len(digits)]))
        shown = page.wait_for_function("row => row_shown[0] === row && row_shown[1]", arg=row_id, timeout=PATIENCE_MS)
        delays.append(shown.json_value() - 1000 * began)
    return sorted(delays[FIRST_INSERTS:])


def main(inserts: Annotated[int, typer.Option(min=20)] = 200) -> None:
    """Run it."""
    settings = load_settings()
    lab = Lab(settings.model_copy(update={"home": settings.home / "benchmark"}))
    lab.down(report=lambda _: None)
    try:
        lab.up(lambda line: typer.echo(line, err=True))
        lab.capture()
        lab.publish(build_network(seed=1))
        with open_dashboard(lab) as page:
            delays = delays_ms(lab, page, inserts)
    finally:
        lab.down(report=lambda _: None)
    p50, p99 = statistics.median(delays), delays[int(0.99 * len(delays))]
    typer.echo(json.dumps({"inserts": inserts, "to_pixels_ms": {"p50": round(p50, 1), "p99": round(p99, 1)}}))


if __name__ == "__main__":
    typer.run(main)
