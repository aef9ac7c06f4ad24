"""How the dashboard follows a fast stream, in a real browser.

    .venv/bin/python -m benchmarks.dashboard --seconds 600 --rate 1000

It starts a lab of its own, trains, opens the dashboard in Chromium, sends samples, and prints as JSON: in how many
frames a second something on the dashboard had changed, in how many of them the newest prediction was another one, how
many messages that took, resident memory of the kernel, and whether counters, score and confusion matrix on the screen
are exact at the end. Frames without news are not asked for: drawing them would cost what a user's browser saves.
Another prediction comes as often as the scorer commits some, so it cannot change oftener. What the page holds
(JavaScript objects and nodes) is counted after a garbage collection; the browser's resident memory contains garbage
that it has not yet cared to collect.
Exits with 1 where a bound is broken, and says which.
"""

import contextlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from playwright.sync_api import Page, expect

from benchmarks.own_lab import own_lab, own_settings, to_terminal
from labkit import Lab
from labkit.settings import TEST_TABLE
from tools.notebook_browser import chromium, jupyter, region

CELL = "from labkit import Lab\n\nlab = Lab()\ndashboard = lab.dashboard()\ndashboard"
SETTLE_S = 20
"""Seconds of streaming before memory is first looked at: caches fill."""
SETTLED_S = 600
"""How long the stream may take to come to rest at the end, and this process to read all of it."""
MIN_FRAMES, MAX_MESSAGES = 10.0, 100.0
"""A second."""
MAX_KERNEL_GROWTH_MIB, MAX_HEAP_GROWTH_MIB = 24.0, 8.0
"""Between the first look and the last: a byte or two for each row is allowed, and what a garbage collection leaves."""
COUNT_FRAMES = """() => {
  const count_frames = (selector, name) => {
    window[name] = 0;
    let asked = false;
    const drawn = () => { window[name]++; asked = false; };
    new MutationObserver(() => { if (!asked) { asked = true; requestAnimationFrame(drawn); } }).observe(
      document.querySelector(selector), { subtree: true, childList: true, characterData: true, attributes: true });
  };
  count_frames(".labkit-dashboard", "frames_drawn");
  count_frames(".labkit-card", "frames_with_news");
}"""


@contextlib.contextmanager
def open_dashboard(lab: Lab, on_message: Callable[[], None] = lambda: None) -> Generator[Page]:
    """A lab's dashboard in JupyterLab, in Chromium.

    Args:
        lab: The running lab.
        on_message: Called for each message that the browser gets.
    """
    cell = CELL.replace("Lab()", f"Lab(Settings(home={str(lab.settings.home)!r}))")
    cell = "from labkit.settings import Settings\n" + cell
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyter(Path(folder), [cell]) as address,
        chromium(address, on_message=on_message) as page,
    ):
        expect(region(page, "draw a digit")).to_be_visible(timeout=60_000)
        yield page


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
        "news": page.evaluate("window.frames_with_news"),
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
    # What this process compares with, it reads only now: beside the stream, that would be load of its own.
    ledger = lab.settle(SETTLED_S)
    right = round((ledger.accuracy or 0.0) * ledger.counted)
    wanted = [
        f"{ledger.events:,}",
        f"{ledger.predictions:,}",
        f"{right:,} right of {ledger.counted:,} counted",
    ]
    deadline = time.monotonic() + 60
    while (shown := figures_shown(page)) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    took = last["at"] - first["at"]
    return {
        "seconds": round(took),
        "digits_a_second": round((rows - rows_before) / took),
        "frames_a_second": round((last["frames"] - first["frames"]) / took, 1),
        "frames_with_another_prediction_a_second": round((last["news"] - first["news"]) / took, 1),
        "messages_a_second": round((last["messages"] - first["messages"]) / took, 1),
        "kernel_mib": [first["kernel_mib"], last["kernel_mib"]],
        "browser_mib": [first["browser_mib"], last["browser_mib"]],
        "page_heap_mib": [first["heap_mib"], last["heap_mib"]],
        "page_nodes": [first["nodes"], last["nodes"]],
        "figures_shown": shown,
        "figures_exact": shown == wanted,
        "matrix_exact": matrix_shown(page) == [list(row) for row in lab.view.state().score.confusion],
        "ledger_balanced": ledger.balanced,
    }


def figures_shown(page: Page) -> list[str]:
    """Events, predictions, and the frozen model's score, as they stand on the screen."""
    return [
        *region(page, "samples and health").locator("dd").all_inner_texts()[:2],
        region(page, "score").locator(".lk-counts span").first.inner_text(),
    ]


def matrix_shown(page: Page) -> list[list[int]]:
    """The confusion matrix as it stands on the screen."""
    texts = region(page, "score").locator(".lk-confusion td").all_inner_texts()
    counts = [0 if text == "·" else int(text) for text in texts]
    return [counts[start : start + 10] for start in range(0, 100, 10)]


def broken_bounds(figures: dict[str, Any]) -> list[str]:
    """Which of the bounds do not hold, in words."""
    kernel, heap = figures["kernel_mib"], figures["page_heap_mib"]
    bounds = {
        f"fewer than {MIN_FRAMES:.0f} frames a second": figures["frames_a_second"] < MIN_FRAMES,
        "another prediction comes on the screen less than once a second": (
            figures["frames_with_another_prediction_a_second"] < 1
        ),
        f"more than {MAX_MESSAGES:.0f} messages a second": figures["messages_a_second"] > MAX_MESSAGES,
        f"the kernel grew by more than {MAX_KERNEL_GROWTH_MIB:.0f} MiB": kernel[1] - kernel[0] > MAX_KERNEL_GROWTH_MIB,
        f"the page grew by more than {MAX_HEAP_GROWTH_MIB:.0f} MiB": heap[1] - heap[0] > MAX_HEAP_GROWTH_MIB,
        "the figures on the screen are not exact": not (figures["figures_exact"] and figures["matrix_exact"]),
        "the ledger does not balance": not figures["ledger_balanced"],
    }
    return [words for words, broken in bounds.items() if broken]


def main(rate: Annotated[int, typer.Option()] = 1000, seconds: Annotated[float, typer.Option()] = 60) -> None:
    """Run it."""
    with own_lab("dashboard", own_settings()) as lab:
        lab.load_digits(report=to_terminal)
        lab.capture()
        lab.publish(lab.train(seed=1).model)
        messages = [0]
        with open_dashboard(lab, lambda: count(messages)) as page:
            figures = follow(lab, page, rate, seconds, messages)
    typer.echo(json.dumps(figures, indent=2))
    for words in (broken := broken_bounds(figures)):
        typer.echo(f"FAILED: {words}", err=True)
    if broken:
        raise typer.Exit(1)


def count(messages: list[int]) -> None:
    """One more message to the browser."""
    messages[0] += 1


if __name__ == "__main__":
    typer.run(main)
