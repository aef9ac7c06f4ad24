"""A person in a session's JupyterLab: notebooks opened and run in one window, and left open with their kernels."""

from playwright.sync_api import Page, expect


def run_notebook(page: Page, path: str) -> None:
    """Open a notebook beside those that are open, and run all of it.

    Raises:
        RuntimeError: A cell fails.
    """
    page.evaluate("path => jupyterapp.commands.execute('docmanager:open', {path})", path)
    panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    expect(panel.get_by_role("button", name="Python 3 (ipykernel) | Idle")).to_be_visible(timeout=120_000)
    # An idle kernel may still be without a connection to the page.
    page.wait_for_timeout(2000)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
