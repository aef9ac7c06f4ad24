"""Take the pictures of the dashboard that the documents show, from a running lab of its own.

Usage: python -m tools.pictures
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect

from labkit import Lab
from labkit.settings import CHECKOUT, load_settings
from tools.notebook_browser import chromium, jupyter, region, set_theme

PICTURES = CHECKOUT / "docs"
CELL = """from labkit import Lab
from labkit.settings import Settings

lab = Lab(Settings(home={home!r}))
dashboard = lab.dashboard()
dashboard"""
WIDE, PHONE = 1600, 390
SEVEN = [(0.25, 0.2), (0.5, 0.2), (0.75, 0.2), (0.6, 0.5), (0.45, 0.85)]


def main() -> None:
    """Start a lab, train, stream digits that begin to turn, and take the pictures."""
    settings = load_settings().model_copy(update={"home": load_settings().home / "pictures"})
    lab = Lab(settings)
    lab.down(report=lambda _: None)
    try:
        lab.up(lambda line: print(line, file=sys.stderr))
        lab.load_digits()
        lab.capture()
        lab.publish(lab.train(seed=1).model)
        lab.wait_until(lambda: lab.ledger().lost == 0, "every loaded digit is scored", timeout_s=90)
        with (
            tempfile.TemporaryDirectory() as folder,
            jupyter(Path(folder), [CELL.format(home=str(settings.home))]) as address,
            chromium(address, WIDE, 3000) as page,
        ):
            expect(region(page, "draw a digit")).to_be_visible(timeout=60_000)
            stream(page)
            take(page, "dashboard")
            set_theme(page, "dark")
            take(page, "dashboard-dark")
            set_theme(page, "light")
            page.set_viewport_size({"width": PHONE, "height": 6000})
            take(page, "dashboard-phone")
    finally:
        lab.down(report=lambda _: None)


def stream(page: Page) -> None:
    """Upright digits first, then rotated ones; and a drawing on the pad."""
    bar = region(page, "samples and health")
    bar.get_by_role("spinbutton", name="digits a second").fill("30")
    bar.get_by_role("button", name="Send samples").click()
    page.wait_for_timeout(6000)
    bar.get_by_role("combobox", name="samples are").select_option("rotated")
    page.wait_for_timeout(9000)
    bar.get_by_role("button", name="Stop samples").click()
    expect(bar.get_by_role("button", name="Send samples")).to_be_visible()
    draw_seven(page)
    page.wait_for_timeout(2000)


def draw_seven(page: Page) -> None:
    """Draw a 7 with the mouse."""
    box = page.get_by_role("application", name="drawing pad").bounding_box()
    if box is None:
        raise RuntimeError("the pad is not on the page")
    first, *rest = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in SEVEN]
    page.mouse.move(*first)
    page.mouse.down()
    for point in rest:
        page.mouse.move(*point)
    page.mouse.up()


def take(page: Page, name: str) -> None:
    """Take one picture of the dashboard."""
    page.wait_for_timeout(1500)
    page.locator(".labkit-dashboard").first.screenshot(path=PICTURES / f"{name}.png")
    print(f"docs/{name}.png", file=sys.stderr)


if __name__ == "__main__":
    main()
