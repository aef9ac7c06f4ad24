"""JupyterLab in a real browser: for the tests, the benchmark of the dashboard, and the pictures in the documents."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
import requests
from playwright.sync_api import Locator, Page, expect, sync_playwright

from labkit.stack.ports import free_port

NOTEBOOK = "dashboard.ipynb"
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
# No telemetry, no updates, no component downloads: the browser talks to loopback only.
CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# No question about news on the page.
NO_NEWS = Path("@jupyterlab", "apputils-extension", "notification.jupyterlab-settings")


@contextmanager
def jupyter(folder: Path, cells: Sequence[str]) -> Generator[str]:
    """Run JupyterLab on a notebook of these cells; yields the notebook's address."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=KERNEL)
    nbformat.write(notebook, folder / NOTEBOOK)
    settings = folder / "SETTINGS_DIR" / NO_NEWS
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('{"fetchNews": "false"}')
    port, token = free_port(18888), secrets.token_hex(8)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", f"--ServerApp.port={port}"]
    command += [f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"]
    command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", "--LabApp.expose_app_in_browser=True"]
    if os.geteuid() == 0:
        command.append("--allow-root")
    # Folders of its own: what the user has set in JupyterLab must not matter here.
    places = {f"JUPYTER_{name}": str(folder / name) for name in ("CONFIG_DIR", "DATA_DIR")}
    places |= {f"JUPYTERLAB_{name}": str(folder / name) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
    with (folder / "jupyter.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | places)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/api", process, folder / "jupyter.log")
        yield f"{address}/doc/tree/{NOTEBOOK}?token={token}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            requests.get(address, timeout=1)
            return
        except requests.RequestException:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"JupyterLab does not start: {log.read_text()}") from None
            time.sleep(0.2)


@contextmanager
def chromium(
    address: str, width: int = 1600, height: int = 1250, on_message: Callable[[], None] | None = None
) -> Generator[Page]:
    """Open a notebook in Chromium and run its first cell; ``on_message`` is called for each message to the page."""
    executable = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM))
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            if on_message is not None:
                page.on("websocket", lambda socket: socket.on("framereceived", lambda _: on_message()))
            page.goto(address)
            run_first_cell(page)
            yield page
        finally:
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
    raise RuntimeError("the first cell does not run")


def set_theme(page: Page, theme: str) -> None:
    """Change JupyterLab's theme: ``light`` or ``dark``."""
    name = f"JupyterLab {theme.capitalize()}"
    page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
    expect(page.locator(f'body[data-jp-theme-name="{name}"]')).to_have_count(1)


def region(page: Page, name: str) -> Locator:
    """A part of the dashboard by its accessible name."""
    return page.get_by_role("region", name=name).first
