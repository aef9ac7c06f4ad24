"""The lab as its users meet it: JupyterLab in a real browser, on the real servers."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
import pytest
import requests
from playwright.sync_api import Locator, Page, expect, sync_playwright

from labkit import Lab
from labkit.model.prediction_records import read_predictions
from labkit.settings import CHECKOUT
from labkit.stack.ports import free_port
from tests.hands import drawn_digits

NOTEBOOK = "dashboard.ipynb"
PICTURES = CHECKOUT / "build" / "screenshots"
DRAWINGS_SEED = 7
MIN_RIGHT_OF_100 = 85
# No telemetry, no updates, no component downloads: the test talks to loopback only.
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def jupyter(scoring_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab on a notebook that shows the dashboard; its address."""
    folder = tmp_path_factory.mktemp("notebooks")
    cells = [
        nbformat.v4.new_code_cell("from labkit import Lab\n\nlab = Lab()\ndashboard = lab.dashboard()\ndashboard"),
        nbformat.v4.new_code_cell("lab.view.state().score"),
    ]
    kernel = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / NOTEBOOK)
    port, token = free_port(18888), secrets.token_hex(8)
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        "--no-browser",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
    ]
    command += [f"--IdentityProvider.token={token}", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0"]
    if os.geteuid() == 0:
        command.append("--allow-root")
    # Folders of its own: what the user has set in JupyterLab must not matter here.
    places = {f"JUPYTER_{name}": str(folder / name) for name in ("CONFIG_DIR", "DATA_DIR")}
    places |= {f"JUPYTERLAB_{name}": str(folder / name) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
    with (folder / "jupyter.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | places)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            requests.get(f"{address}/api", timeout=1)
            break
        except requests.RequestException:
            assert process.poll() is None, (folder / "jupyter.log").read_text()
            time.sleep(0.2)
    yield f"{address}/doc/tree/{NOTEBOOK}?token={token}"
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


@pytest.fixture(scope="module")
def page(jupyter: str) -> Iterator[Page]:
    """The notebook open in Chromium, all cells run, the dashboard live."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    executable = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1600, "height": 1250})
        page.goto(jupyter)
        run_first_cell(page)
        expect(region(page, "draw a digit")).to_be_visible(timeout=60_000)
        yield page
        browser.close()


def run_first_cell(page: Page) -> None:
    """Press Shift+Enter in the first cell, once the kernel takes it."""
    expect(page.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible(timeout=90_000)
    prompt = page.locator(".jp-CodeCell .jp-InputArea-prompt").first
    for _ in range(20):
        prompt.click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1000)
        # An idle kernel may still be without a connection to the page; then nothing was run.
        if prompt.inner_text() != "[ ]:":
            return
    raise AssertionError("the first cell does not run")


def region(page: Page, name: str) -> Locator:
    """A part of the dashboard by its accessible name."""
    return page.get_by_role("region", name=name).first


def draw(page: Page, strokes: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Draw strokes with the mouse; points are shares of the pad."""
    canvas = page.get_by_role("application", name="drawing pad")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def send(page: Page, label: int | None) -> int:
    """Choose a label, send what is drawn, and return the row's id that the status line tells."""
    pad = region(page, "draw a digit")
    pad.get_by_role("radio", name="none yet" if label is None else str(label), exact=True).check(force=True)
    before = pad.locator(".lk-status").inner_text()
    pad.get_by_role("button", name="Send", exact=True).click()
    return inserted_row(page, before)


def inserted_row(page: Page, before: str) -> int:
    """The row's id in the pad's status line, once that says something new."""
    status = region(page, "draw a digit").locator(".lk-status")
    expect(status).not_to_have_text(before, timeout=10_000)
    expect(status).to_have_attribute("data-kind", "ok", timeout=10_000)
    found = re.search(r"\d+", status.inner_text())
    assert found, status.inner_text()
    return int(found.group())


SEVEN = [[(0.25, 0.2), (0.5, 0.2), (0.75, 0.2), (0.6, 0.5), (0.45, 0.85)]]


def test_draw_send_see(page: Page, scoring_lab: Lab) -> None:
    draw(page, SEVEN)
    preview = region(page, "draw a digit").get_by_role("img", name="the drawing at 28 by 28 pixels")
    expect(preview).to_be_visible()
    row_id = send(page, 7)

    # The row is in the database; the event, the image and the prediction come by themselves.
    assert scoring_lab.tables.labels("mnist_test")[row_id] == 7
    event = region(page, "change events").locator(f'li[data-row-id="{row_id}"]').first
    expect(event).to_have_attribute("data-operation", "insert", timeout=10_000)
    expect(event.locator(".lk-lsn")).to_contain_text("/")
    expect(event.locator(".lk-prediction")).to_contain_text(re.compile(r"\d"), timeout=10_000)
    card = region(page, "newest prediction")
    expect(card).to_have_attribute("data-row-id", str(row_id), timeout=10_000)
    expect(card.locator(".lk-verdict")).not_to_be_empty()
    expect(region(page, "score").locator(".lk-accuracy")).to_contain_text("%")


def test_correcting_a_label_is_an_update_and_counts_anew(page: Page, scoring_lab: Lab) -> None:
    row_id = scoring_lab.tables.insert(scoring_lab.tables.image(1), 9)
    card = region(page, "newest prediction")
    expect(card).to_have_attribute("data-row-id", str(row_id), timeout=10_000)
    card.get_by_role("combobox", name="new label for this row").select_option("0")
    card.get_by_role("button", name="relabel this row").click()
    update = region(page, "change events").locator(f'li[data-row-id="{row_id}"][data-operation="update"]')
    expect(update.first).to_be_visible(timeout=10_000)
    assert scoring_lab.tables.labels("mnist_test")[row_id] == 0


def test_deleting_is_an_event_and_breaks_nothing(page: Page, scoring_lab: Lab) -> None:
    row_id = scoring_lab.tables.insert(scoring_lab.tables.image(1), 9)
    card = region(page, "newest prediction")
    expect(card).to_have_attribute("data-row-id", str(row_id), timeout=10_000)
    card.get_by_role("button", name="delete this row").click()
    feed = region(page, "change events")
    expect(feed.locator(f'li[data-row-id="{row_id}"][data-operation="delete"]')).to_be_visible(timeout=10_000)
    assert row_id not in scoring_lab.tables.labels("mnist_test")
    draw(page, SEVEN)
    after = send(page, 7)
    expect(card).to_have_attribute("data-row-id", str(after), timeout=10_000)


def test_samples_stream_until_stopped(page: Page) -> None:
    bar = region(page, "samples and health")
    bar.get_by_role("spinbutton", name="digits a second").fill("20")
    bar.get_by_role("button", name="Send samples").click()
    first = region(page, "change events").locator("li").first
    before = first.get_attribute("data-row-id")
    expect(first).not_to_have_attribute("data-row-id", str(before), timeout=10_000)
    page.wait_for_timeout(4000)
    page.locator(".labkit-dashboard").first.screenshot(path=PICTURES / "dashboard.png")
    bar.get_by_role("button", name="Stop samples").click()
    expect(bar.get_by_role("button", name="Send samples")).to_be_visible(timeout=10_000)


def test_keyboard_only(page: Page) -> None:
    canvas = page.get_by_role("application", name="drawing pad")
    before = region(page, "draw a digit").locator(".lk-status").inner_text()
    canvas.focus()
    for key in [*["ArrowUp"] * 9, "Space", *["ArrowDown"] * 18, "Space"]:
        page.keyboard.press(key)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    row_id = inserted_row(page, before)
    expect(region(page, "newest prediction")).to_have_attribute("data-row-id", str(row_id), timeout=10_000)


def test_a_blank_drawing_is_refused_in_words(page: Page) -> None:
    canvas = page.get_by_role("application", name="drawing pad")
    canvas.focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    status = region(page, "draw a digit").locator(".lk-status")
    expect(status).to_have_attribute("data-kind", "error")
    expect(status).to_contain_text("draw")


def test_a_hundred_drawn_digits(page: Page, scoring_lab: Lab) -> None:
    slider = region(page, "draw a digit").get_by_role("slider", name="brush width")
    wanted: dict[int, int] = {}
    for drawing in drawn_digits(DRAWINGS_SEED):
        slider.fill(f"{drawing.width:.2f}")
        draw(page, drawing.strokes)
        wanted[send(page, drawing.label)] = drawing.label
    assert len(wanted) == 100
    ledger = scoring_lab.ledger(wait_s=30)
    assert ledger.balanced, ledger
    said = {prediction.row_id: prediction.predicted for prediction in read_predictions(scoring_lab.kafka)[0]}
    right = sum(said[row_id] == label for row_id, label in wanted.items())
    print(f"{right} of 100 drawn digits predicted right")
    assert right >= MIN_RIGHT_OF_100


def test_reload_shows_the_same_figures(page: Page, scoring_lab: Lab) -> None:
    ledger = scoring_lab.ledger(wait_s=10)
    page.reload()
    accuracy = region(page, "score").locator(".lk-counts")
    expect(accuracy).to_contain_text(f"{ledger.counted:,}", timeout=60_000)


@pytest.mark.parametrize(("name", "width", "height"), [("phone", 390, 3600), ("projector", 1920, 1400)])
def test_pictures_for_the_eye(page: Page, name: str, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    pad = region(page, "draw a digit")
    pad.scroll_into_view_if_needed()
    expect(pad).to_be_in_viewport()
    box = pad.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width, "the pad does not fit the screen"
    page.screenshot(path=Path(PICTURES, f"{name}.png"))
