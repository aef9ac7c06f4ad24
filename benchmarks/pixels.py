"""How long after its insert a digit stands on the screen, with its prediction.

    .venv/bin/python -m benchmarks.pixels --inserts 200

It starts a lab of its own, opens the dashboard in Chromium, and inserts digits one by one, each a moment after the one
before is shown. It prints as JSON how many milliseconds passed from right before each insert until the browser had
painted its prediction.
"""

import json
import random
import statistics
import time
from typing import Annotated

import typer
from playwright.sync_api import Page

from benchmarks.dashboard import open_dashboard
from benchmarks.own_lab import own_lab, own_settings
from labkit import Lab
from labkit.digits import load_digits
from labkit.model.network import build_network

# A text of our own comes into the same frame as the row, and Chromium tells when it presented that frame
# (https://www.w3.org/TR/element-timing/): a callback of the page only knows when a frame begins.
NOTE_ROWS = """() => {
  const card = document.querySelector(".labkit-card");
  const shown = new Map();
  let told = () => {};
  new PerformanceObserver((list) => list.getEntries().forEach(({ identifier, renderTime }) => {
    shown.set(Number(identifier), performance.timeOrigin + renderTime);
    told();
  })).observe({ type: "element" });
  new MutationObserver(() => {
    const mark = document.createElement("p");
    mark.setAttribute("elementtiming", card.dataset.rowId);
    mark.style.cssText = "position: fixed; z-index: 999; top: 0; left: 0; margin: 0";
    mark.textContent = `row ${card.dataset.rowId}`;
    document.querySelector("[elementtiming]")?.remove();
    document.body.append(mark);
  }).observe(card, { attributes: true, attributeFilter: ["data-row-id"] });
  window.row_shown = async (row) => {
    while (!shown.has(row)) await new Promise((resolve) => { told = resolve; });
    return shown.get(row);
  };
}"""
FIRST_INSERTS = 20
"""These are not counted: what is used first is slower."""
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
        # Not `wait_for_function`: it asks in every frame, so that the page would draw without a pause.
        delays.append(page.evaluate("row => row_shown(row)", row_id) - 1000 * began)
    return sorted(delays[FIRST_INSERTS:])


def main(inserts: Annotated[int, typer.Option(min=20)] = 200) -> None:
    """Run it."""
    with own_lab("pixels", own_settings()) as lab:
        lab.capture()
        lab.publish(build_network(seed=1))
        with open_dashboard(lab) as page:
            delays = delays_ms(lab, page, inserts)
    p50, p99 = statistics.median(delays), delays[int(0.99 * len(delays))]
    typer.echo(json.dumps({"inserts": inserts, "to_pixels_ms": {"p50": round(p50, 1), "p99": round(p99, 1)}}))


if __name__ == "__main__":
    typer.run(main)
