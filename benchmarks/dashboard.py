"""How the dashboard follows a fast stream, in a real browser.

    .venv/bin/python -m benchmarks.dashboard --seconds 600 --rate 1000

It starts a lab of its own, trains, opens the dashboard in Chromium, sends samples, and prints as JSON: frames a second
and messages a second in the browser, resident memory of kernel and browser at the start and at the end, and whether the
counters on the screen are exact at the end. What the page itself holds (JavaScript objects and nodes) is counted after
a garbage collection; the browser's resident memory contains garbage that it has not yet cared to collect.
"""

import contextlib
import json
import re
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from playwright.sync_api import Page, expect

from labkit import Lab
from labkit.settings import TEST_TABLE, load_settings
from tools.notebook_browser import chromium, jupyter, region

CELL = "from labkit import Lab\n\nlab = Lab()\ndashboard = lab.dashboard()\ndashboard"
SETTLE_S = 20
"""Seconds of streaming before memory is first looked at: caches fill."""
COUNT_FRAMES = """() => {
  window.frames_drawn = 0;
  const count = () => { window.frames_drawn++; requestAnimationFrame(count); };
  requestAnimationFrame(count);
}"""


def memory_mib(pattern: str) -> float:
    """Resident memory of our child processes whose command line matches, MiB; shared pages count once for each."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if re.search(pattern, " ".join(process.cmdline())):
                total += process.memory_info().rss / 2**20
    return round(total, 1)


def page_holds(page: Page) -> dict[str, float]:
    """What is alive in the page after a garbage collection: JavaScript objects in MiB, and nodes."""
    session = page.context.new_cdp_session(page)
    for domain in ("HeapProfiler", "Performance"):
        session.send(f"{domain}.enable")
    session.send("HeapProfiler.collectGarbage")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return {"heap_mib": round(metrics["JSHeapUsedSize"] / 2**20, 1), "nodes": metrics["Nodes"]}


def sample(messages: list[int], page: Page) -> dict[str, float]:
    """Counters and memory now."""
    page.wait_for_timeout(1)  # Lets Playwright take in the messages that have come.
    holds = page_holds(page)
    return {
        "at": time.monotonic(),
        "frames": page.evaluate("window.frames_drawn"),
        "messages": messages[0],
        "kernel_mib": memory_mib("ipykernel_launcher"),
        "browser_mib": memory_mib("chrom.*--type=renderer"),
        **holds,
    }


def follow(lab: Lab, page: Page, rate: float, seconds: float, messages: list[int]) -> dict[str, Any]:
    """Stream for so long and measure; then compare the screen with the ledger."""
    bar = region(page, "samples and health")
    page.evaluate(COUNT_FRAMES)
    bar.get_by_role("spinbutton", name="digits a second").fill(str(rate))
    bar.get_by_role("button", name="Send samples").click()
    page.wait_for_timeout(SETTLE_S * 1000)
    first = sample(messages, page)
    rows_before = lab.tables.count(TEST_TABLE)
    page.wait_for_timeout(max(1000.0, (seconds - SETTLE_S) * 1000))
    last, rows = sample(messages, page), lab.tables.count(TEST_TABLE)
    bar.get_by_role("button", name="Stop samples").click()
    expect(bar.get_by_role("button", name="Send samples")).to_be_visible(timeout=30_000)
    ledger = lab.ledger(wait_s=120)
    wanted = [f"{ledger.events:,}", f"{ledger.predictions:,}"]
    deadline = time.monotonic() + 60
    while (shown := bar.locator("dd").all_inner_texts()[:2]) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    took = last["at"] - first["at"]
    return {
        "seconds": round(took),
        "digits_a_second": round((rows - rows_before) / took),
        "frames_a_second": round((last["frames"] - first["frames"]) / took, 1),
        "messages_a_second": round((last["messages"] - first["messages"]) / took, 1),
        "kernel_mib": [first["kernel_mib"], last["kernel_mib"]],
        "browser_mib": [first["browser_mib"], last["browser_mib"]],
        "page_heap_mib": [first["heap_mib"], last["heap_mib"]],
        "page_nodes": [first["nodes"], last["nodes"]],
        "counters_shown": shown,
        "counters_exact": shown == wanted,
        "ledger_balanced": ledger.balanced,
    }


def main(rate: Annotated[int, typer.Option()] = 1000, seconds: Annotated[float, typer.Option()] = 60) -> None:
    """Run it."""
    lab = Lab(load_settings().model_copy(update={"home": load_settings().home / "benchmark"}))
    lab.down(report=lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        try:
            lab.up(lambda line: typer.echo(line, err=True))
            lab.load_digits()
            lab.capture()
            lab.publish(lab.train(seed=1).model)
            cell = CELL.replace("Lab()", f"Lab(Settings(home={str(lab.settings.home)!r}))")
            cell = "from labkit.settings import Settings\n" + cell
            messages = [0]
            with (
                jupyter(Path(folder), [cell]) as address,
                chromium(address, on_message=lambda: count(messages)) as page,
            ):
                expect(region(page, "draw a digit")).to_be_visible(timeout=60_000)
                typer.echo(json.dumps(follow(lab, page, rate, seconds, messages), indent=2))
        finally:
            lab.down(report=lambda _: None)


def count(messages: list[int]) -> None:
    """One more message to the browser."""
    messages[0] += 1


if __name__ == "__main__":
    typer.run(main)
