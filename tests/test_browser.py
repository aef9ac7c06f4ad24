"""The lab as its users meet it: JupyterLab in a real browser, on the real servers."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from labkit import Lab
from labkit.model.prediction_records import read_predictions
from labkit.settings import CHECKOUT
from tests.accounts import score_since_reset
from tests.hands import drawn_digits
from tools.notebook_browser import NOTEBOOK, chromium, jupyter, region, run_first_cell, set_theme

PICTURES = CHECKOUT / "build" / "screenshots"
DRAWINGS_SEED = 7
MIN_RIGHT = 0.85
CELLS = ["from labkit import Lab\n\nlab = Lab()\ndashboard = lab.dashboard()\ndashboard", "lab.view.state().score"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks are."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def page(scoring_lab: Lab, folder: Path) -> Iterator[Page]:
    """The notebook open in Chromium, the dashboard live."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with jupyter(folder, CELLS) as address, chromium(address) as page:
        expect(region(page, "draw a digit")).to_be_visible(timeout=60_000)
        # A new screen reads the whole past first, the training digits included.
        events = scoring_lab.ledger(wait_s=30).events
        expect(page.locator(".labkit-bar dd").first).to_have_text(f"{events:,}", timeout=60_000)
        yield page


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
    # In one look: a slow kernel's page says first that it waits, then for a moment what it said before.
    expect(status).to_have_text(re.compile(rf"^(?!{re.escape(before)}$).*row \d+ inserted"), timeout=20_000)
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
    for accuracy in region(page, "score").locator(".lk-accuracy").all():
        expect(accuracy).to_contain_text("%")


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


def test_a_label_that_comes_late_counts_from_then_on(page: Page, scoring_lab: Lab) -> None:
    draw(page, SEVEN)
    counted = scoring_lab.settle().counted
    row_id = send(page, None)
    card = region(page, "newest prediction")
    expect(card).to_have_attribute("data-row-id", str(row_id), timeout=10_000)
    expect(card).to_contain_text("no label")
    assert scoring_lab.settle().counted == counted
    choice = card.get_by_role("combobox", name="new label for this row")
    expect(choice.locator("..")).to_contain_text("It is a")
    choice.select_option("7")
    card.get_by_role("button", name="relabel this row").click()
    expect(card).to_contain_text("true label 7", timeout=10_000)
    assert scoring_lab.settle().counted == counted + 1


def test_a_pen_draws_the_brush_is_as_wide_as_wished_and_clear_clears(page: Page) -> None:
    pad = region(page, "draw a digit")
    canvas = page.get_by_role("application", name="drawing pad")
    slider, undo = pad.get_by_role("slider", name="brush width"), pad.get_by_role("button", name="Undo")
    ink = "c => c.getContext('2d').getImageData(0, 0, 28, 28).data.reduce((sum, v, i) => sum + (i % 4 ? 0 : v), 0)"
    preview = pad.get_by_role("img", name="the drawing at 28 by 28 pixels")
    pen = page.context.new_cdp_session(page)
    inks: list[int] = []
    for width in ("0.04", "0.16"):
        slider.fill(width)
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        for kind, y in (("mousePressed", 0.2), ("mouseMoved", 0.5), ("mouseReleased", 0.8)):
            place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + y * box["height"]}
            held = {"button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen"}
            pen.send("Input.dispatchMouseEvent", {"type": kind, **place, **held})
        expect(undo).to_be_enabled()
        page.wait_for_timeout(300)
        inks.append(preview.evaluate(ink))
        pad.get_by_role("button", name="Clear").click()
        expect(undo).to_be_disabled()
    assert 0 < 1.5 * inks[0] < inks[1]
    slider.fill("0.08")


def test_samples_stream_until_stopped(page: Page) -> None:
    bar = region(page, "samples and health")
    bar.get_by_role("spinbutton", name="digits a second").fill("20")
    first = region(page, "change events").locator("li").first
    before = first.get_attribute("data-row-id")
    bar.get_by_role("button", name="Send samples").click()
    try:
        # The first time, the kernel loads the samples.
        expect(bar.get_by_role("button", name="Stop samples")).to_be_visible(timeout=30_000)
        expect(first).not_to_have_attribute("data-row-id", str(before), timeout=10_000)
        page.wait_for_timeout(4000)
        page.locator(".labkit-dashboard").first.screenshot(path=PICTURES / "dashboard.png")
    finally:
        bar.get_by_role("button", name="Stop samples").click()  # The tests to come want a stream at rest.
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


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.on_demand)])
def test_of_a_hundred_drawn_digits_most_are_known(page: Page, scoring_lab: Lab, every: int) -> None:
    slider = region(page, "draw a digit").get_by_role("slider", name="brush width")
    wanted: dict[int, int] = {}
    for drawing in drawn_digits(DRAWINGS_SEED)[::every]:
        slider.fill(f"{drawing.width:.2f}")
        # Each move of the mouse waits for a frame: as many points as a hand makes in a second are enough.
        draw(page, [[*stroke[:-1:2], stroke[-1]] for stroke in drawing.strokes])
        wanted[send(page, drawing.label)] = drawing.label
    assert len(wanted) == 100 / every
    ledger = scoring_lab.ledger(wait_s=30)
    assert ledger.balanced, ledger
    said = {prediction.row_id: prediction.predicted for prediction in read_predictions(scoring_lab.kafka)[0]}
    right = sum(said[row_id] == label for row_id, label in wanted.items())
    print(f"{right} of {len(wanted)} drawn digits predicted right")
    assert right / len(wanted) >= MIN_RIGHT


def test_a_drifting_stream_is_followed_by_the_model_that_goes_on_learning(page: Page, scoring_lab: Lab) -> None:
    bar = region(page, "samples and health")
    bar.get_by_role("button", name="Reset the scores").click()
    expect(region(page, "score").locator(".lk-counts").first).to_contain_text("0 right of 0", timeout=10_000)
    bar.get_by_role("combobox", name="samples are").select_option("rotated")
    bar.get_by_role("slider", name="how much of it").fill("50")
    bar.get_by_role("spinbutton", name="digits a second").fill("50")
    bar.get_by_role("button", name="Send samples").click()
    # The copy's score holds the digits from before it has learned the turn: after 400 it has been 0.69.
    scoring_lab.wait_until(lambda: scoring_lab.view.state().score.counted >= 600, "600 rotated digits", 60)
    bar.get_by_role("button", name="Stop samples").click()
    state = scoring_lab.view.state()
    assert state.score.accuracy is not None and state.continual.accuracy is not None
    assert state.score.accuracy < 0.7 < state.continual.accuracy, "frozen, continual"
    shown = [float(text.removesuffix(" %")) for text in region(page, "score").locator(".lk-accuracy").all_inner_texts()]
    assert shown[0] < 70 < shown[1]


def test_a_cell_of_the_confusion_matrix_shows_its_digits(page: Page) -> None:
    score = region(page, "score")
    score.locator(".lk-confusion button.lk-miss").first.click()
    expect(score.locator(".lk-cell-digits img").first).to_be_visible(timeout=10_000)
    expect(score.get_by_role("status")).to_contain_text("that the frozen model took for")


def test_the_scorer_is_stopped_and_catches_up(page: Page, scoring_lab: Lab) -> None:
    bar = region(page, "samples and health")
    bar.get_by_role("button", name="Stop the scorer").click()
    # Until it has ended, it goes on scoring.
    expect(bar.locator(".lk-status")).to_contain_text("the scorer is stopped", timeout=20_000)
    try:
        row_id = scoring_lab.insert(scoring_lab.tables.image(1), 3)
        event = region(page, "change events").locator(f'li[data-row-id="{row_id}"]').first
        expect(event.locator(".lk-prediction")).to_contain_text("…", timeout=10_000)
        bar.get_by_role("button", name="Start the scorer").click()
        expect(bar.locator(".lk-status")).to_contain_text("the scorer starts", timeout=10_000)
    finally:
        scoring_lab.start_scorer()  # The tests to come need it, even if this one fails.
    expect(event.locator(".lk-prediction")).to_contain_text(re.compile(r"\d"), timeout=40_000)
    assert scoring_lab.ledger(wait_s=10).balanced


def test_the_feed_filters_pauses_goes_back_and_opens(page: Page, scoring_lab: Lab) -> None:
    feed = region(page, "change events")
    feed.get_by_role("combobox", name="kind of change").select_option("d")
    expect(feed.locator('li:not([data-operation="delete"])')).to_have_count(0, timeout=5000)
    expect(feed.locator('li[data-operation="delete"] .lk-tombstone').first).to_have_text("tombstone")
    feed.get_by_role("combobox", name="kind of change").select_option("")
    table = feed.get_by_role("combobox", name="of table")
    table.select_option("mnist_train")
    expect(feed.locator(".lk-feed-list .lk-row small", has_text="mnist_test")).to_have_count(0, timeout=5000)
    expect(feed.locator(".lk-feed-list .lk-row small", has_text="mnist_train")).not_to_have_count(0)
    table.select_option("")

    feed.get_by_role("button", name="Pause").click()
    before = feed.locator("li").first.get_attribute("data-row-id")
    row_id = scoring_lab.insert(scoring_lab.tables.image(1), 3)
    scoring_lab.relabel(row_id, 4)
    expect(feed.locator("header")).to_contain_text("2 newer wait", timeout=10_000)
    expect(feed.locator("li").first).to_have_attribute("data-row-id", str(before))
    feed.get_by_role("button", name="Older").click()
    expect(feed.get_by_role("status")).to_contain_text("30 older events", timeout=15_000)
    assert before not in [row.get_attribute("data-row-id") for row in feed.locator("li").all()]
    feed.get_by_role("button", name="Go on").click()
    expect(feed.locator("li").first).to_have_attribute("data-row-id", str(row_id))

    feed.get_by_role("button", name=f"open the update of row {row_id}").first.click()
    opened = feed.get_by_role("group", name="opened record")
    expect(opened).to_contain_text("3 → 4", timeout=10_000)
    expect(opened).to_contain_text("lab.public.mnist_test")
    expect(opened).to_contain_text("784 bytes")
    opened.get_by_role("button", name="Close").click()
    expect(opened).to_be_hidden()


def test_what_is_clicked_is_what_was_pressed(page: Page, scoring_lab: Lab) -> None:
    pressed = scoring_lab.insert(scoring_lab.tables.image(1), 3)
    feed = region(page, "change events")
    first = feed.locator(".lk-feed-list > li").first
    expect(first).to_have_attribute("data-row-id", str(pressed), timeout=10_000)
    first.scroll_into_view_if_needed()
    box = first.locator(".lk-open").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    newer = scoring_lab.insert(scoring_lab.tables.image(1), 4)
    expect(region(page, "newest prediction")).to_have_attribute("data-row-id", str(newer), timeout=10_000)
    page.wait_for_timeout(500)  # The list draws at most five times a second.
    expect(first).to_have_attribute("data-row-id", str(pressed))
    page.mouse.up()
    expect(feed.get_by_role("group", name="opened record")).to_contain_text(f"row {pressed}", timeout=10_000)
    expect(first).to_have_attribute("data-row-id", str(newer))
    feed.get_by_role("button", name="Close").click()


def test_the_timeline_ends_on_the_screen(page: Page, scoring_lab: Lab) -> None:
    row_id = scoring_lab.insert(scoring_lab.tables.image(1), 3)
    timeline = region(page, "timeline")
    expect(timeline.locator("header")).to_contain_text(f"row {row_id}", timeout=10_000)
    expect(timeline.locator(".lk-waterfall li").last).to_contain_text("on screen", timeout=10_000)
    expect(timeline.get_by_role("row", name=re.compile("commit to kernel"))).to_be_visible()


@pytest.mark.parametrize("width", [1600, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, theme: str, width: int) -> None:
    """With a record opened, a cell's digits on the screen, and an error in a status line."""
    page.set_viewport_size({"width": width, "height": 1250})
    set_theme(page, theme)
    page.get_by_role("application", name="drawing pad").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    feed, score = region(page, "change events"), region(page, "score")
    feed.get_by_role("button", name=re.compile("^open the insert")).first.click()
    expect(feed.get_by_role("group", name="opened record")).to_contain_text("LSN", timeout=10_000)
    score.locator(".lk-confusion button.lk-hit").first.click()
    expect(score.locator(".lk-cell-digits img").first).to_be_visible(timeout=10_000)
    expect(region(page, "draw a digit").locator(".lk-status")).to_have_attribute("data-kind", "error")
    results = Axe().run(page, context=".labkit-dashboard", options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]})
    page.locator(".labkit-dashboard").first.screenshot(path=PICTURES / f"{theme}-{width}.png")
    feed.get_by_role("button", name="Close").click()
    set_theme(page, "light")
    page.set_viewport_size({"width": 1600, "height": 1250})
    assert results.violations_count == 0, results.generate_report()


def test_the_focus_is_seen_on_every_control(page: Page) -> None:
    page.get_by_role("application", name="drawing pad").focus()
    mark = """() => {
      const e = document.activeElement, s = getComputedStyle(e);
      const label = e.closest("label") ? getComputedStyle(e.nextElementSibling ?? e) : s;
      const seen = [s, label].some((one) => one.outlineStyle !== "none" && parseFloat(one.outlineWidth) >= 1);
      return { inside: !!e.closest(".labkit-dashboard"), seen, what: e.outerHTML.slice(0, 120) };
    }"""
    found: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        control = page.evaluate(mark)
        if not control["inside"]:
            break
        assert control["seen"], control["what"]
        found.append(control["what"])
    assert len(found) >= 20, found


def test_what_changes_is_told_politely_and_the_newest_is_not_left_out(page: Page, scoring_lab: Lab) -> None:
    spoken = region(page, "newest prediction").locator(".lk-unseen[aria-live=polite]")
    scoring_lab.insert(scoring_lab.tables.image(1), 3)
    last = scoring_lab.insert(scoring_lab.tables.image(1), 3)
    expect(spoken).to_contain_text(f"row {last}: predicted", timeout=15_000)
    assert page.locator(".labkit-dashboard [aria-live=assertive], .labkit-dashboard [role=alert]").count() == 0
    for name in ("draw a digit", "change events", "score"):
        assert region(page, name).get_by_role("status").first.get_attribute("aria-live") == "polite"


def test_reload_shows_the_same_figures(page: Page, scoring_lab: Lab, folder: Path) -> None:
    counted = scoring_lab.view.state().score.counted
    waterfall = region(page, "timeline").locator(".lk-waterfall li")
    ways = waterfall.all_text_contents()
    page.keyboard.press("Control+s")  # A page shows again what was saved, and the kernel goes on meanwhile.
    page.wait_for_timeout(1000)
    saved = (folder / NOTEBOOK).read_text()
    assert "labkit-still" in saved and "data:image/png;base64," in saved and f"right of {counted:,}" in saved
    page.reload()
    accuracy = region(page, "score").locator(".lk-counts").first
    expect(accuracy).to_contain_text(f"{counted:,}", timeout=60_000)
    expect(waterfall).to_have_text(ways)  # A digit seen before is not on the screen only now.


def test_a_finger_draws_on_the_pad_and_scrolls_beside_it(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    canvas = page.get_by_role("application", name="drawing pad")
    undo = region(page, "draw a digit").get_by_role("button", name="Undo")
    touch = page.context.new_cdp_session(page)

    def swipe_up(x: float, y: float) -> float:
        """Swipe by 100 pixels; returns by how many the pad has moved up."""
        before = canvas.bounding_box()
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for moved in range(10, 101, 10):
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y - moved}]})
            page.wait_for_timeout(20)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(500)
        after = canvas.bounding_box()
        assert before is not None and after is not None
        return before["y"] - after["y"]

    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    middle, bottom = box["x"] + box["width"] / 2, box["y"] + box["height"]
    expect(undo).to_be_disabled()
    assert swipe_up(middle, bottom - 20) == 0
    expect(undo).to_be_enabled()
    undo.click()
    canvas.scroll_into_view_if_needed()
    legend = region(page, "draw a digit").get_by_text("True label").bounding_box()
    assert legend is not None
    assert swipe_up(legend["x"] + 10, legend["y"] + 5) > 50
    # Two fingers zoom wherever the pad is not: nothing else takes the gesture from the browser.
    kept = "all => all.filter((e) => getComputedStyle(e).touchAction !== 'auto').map((e) => e.className)"
    assert page.locator(".labkit-dashboard *").evaluate_all(kept) == ["lk-pad-canvas"]


def test_nothing_scrolls_into_emptiness(page: Page, scoring_lab: Lab) -> None:
    page.set_viewport_size({"width": 1600, "height": 1250})
    scoring_lab.sender.send(40, 100)
    expect(page.locator(".lk-feed-list > li")).not_to_have_count(0)
    scoring_lab.settle()
    page.wait_for_timeout(1000)
    spare = page.locator(".jp-OutputArea-output:has(.labkit-pad)").evaluate("e => e.scrollHeight - e.clientHeight")
    assert spare <= 1


@pytest.mark.parametrize(
    ("name", "width", "height"), [("phone", 390, 3600), ("laptop", 1440, 900), ("projector", 1920, 1400)]
)
def test_pictures_for_the_eye(page: Page, name: str, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    pad = region(page, "draw a digit")
    pad.scroll_into_view_if_needed()
    expect(pad).to_be_in_viewport()
    box = pad.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width, "the pad does not fit the screen"
    feed = region(page, "change events").locator(".lk-feed-scroll")
    assert feed.evaluate("e => e.scrollWidth - e.clientWidth") == 0, "a column of the feed is out of sight"
    page.screenshot(path=Path(PICTURES, f"{name}.png"))


def test_two_dashboards_show_the_same_figures(page: Page, folder: Path, scoring_lab: Lab) -> None:
    shutil.copy(folder / NOTEBOOK, folder / "second.ipynb")
    assert page.context.browser is not None
    # Another window with the same log-in.
    second = page.context.browser.new_context(storage_state=page.context.storage_state()).new_page()
    try:
        second.goto(page.url.replace(NOTEBOOK, "second.ipynb"))
        run_first_cell(second)
        scoring_lab.sender.send(30, 30)
        ledger = scoring_lab.settle()
        score = score_since_reset(scoring_lab)
        for each in (page, second):
            expect(each.locator(".labkit-bar dd").first).to_have_text(f"{ledger.events:,}", timeout=30_000)
            counts = region(each, "score").locator(".lk-counts").first
            expect(counts).to_contain_text(f"{score.correct:,} right of {score.counted:,}", timeout=30_000)
    finally:
        second.context.close()


def test_a_running_cell_does_not_freeze_the_dashboard(page: Page, scoring_lab: Lab) -> None:
    page.set_viewport_size({"width": 1600, "height": 1250})
    cell = page.locator(".jp-CodeCell .jp-InputArea-editor").last
    cell.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("import time\ntime.sleep(12)")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Python 3 (ipykernel) | Busy")).to_be_visible(timeout=10_000)
    row_id = scoring_lab.insert(scoring_lab.tables.image(1), 3)
    card = region(page, "newest prediction")
    expect(card).to_have_attribute("data-row-id", str(row_id), timeout=5000)
    expect(page.get_by_role("button", name="Python 3 (ipykernel) | Busy")).to_be_visible()


def test_a_restarted_kernel_is_told_and_brings_it_back(page: Page, scoring_lab: Lab) -> None:
    ledger = scoring_lab.ledger(wait_s=10)
    # The command's promise waits for the answer to the question it asks: not waited for here.
    page.evaluate("void jupyterapp.commands.execute('notebook:restart-kernel')")
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    left = page.locator(".labkit-dashboard.jupyter-widgets-disconnected")
    expect(left).to_be_visible(timeout=30_000)
    words = "part => getComputedStyle(part, '::before').content"
    assert "Run the cells from the top" in left.evaluate(words)
    parts = page.locator(".labkit-dashboard .labkit-grid > *")
    expect(parts).to_have_count(5)
    assert all("Run the cells from the top" in part.evaluate(words) for part in parts.all())
    bar = region(page, "samples and health")
    bar.get_by_role("button", name="Send samples").click()
    expect(bar.locator(".lk-status")).to_contain_text("the kernel was restarted", timeout=10_000)
    page.screenshot(path=PICTURES / "restarted.png")
    parts.last.scroll_into_view_if_needed()
    page.screenshot(path=PICTURES / "restarted-feed.png")

    page.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    expect(left).to_have_count(0)
    run_first_cell(page)
    counts = page.locator(".labkit-bar dd")
    expect(counts.first).to_have_text(f"{ledger.events:,}", timeout=60_000)
    score = score_since_reset(scoring_lab)
    expect(region(page, "score").locator(".lk-counts").first).to_contain_text(
        f"{score.correct:,} right of {score.counted:,}", timeout=30_000
    )
    newest = scoring_lab.older_events(None, None, {}, None, 1)[0].event
    first = region(page, "change events").locator(".lk-feed-list > li").first
    expect(first).to_have_attribute("data-row-id", str(newest.row_id), timeout=10_000)
