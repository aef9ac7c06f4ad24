"""A person in a session's JupyterLab: notebooks opened and run in one window, and left open with their kernels."""

from playwright.sync_api import Page

RUN = """async path => {
  const panel = await jupyterapp.commands.execute("docmanager:open", {path});
  await panel.context.ready;
  await panel.sessionContext.ready;
  const kernel = () => panel.sessionContext.session?.kernel;
  while (kernel()?.connectionStatus !== "connected" || kernel().status !== "idle") {
    await new Promise(done => setTimeout(done, 200));
  }
  await jupyterapp.commands.execute("notebook:run-all-cells");
  await panel.context.save();
}"""


def run_notebook(page: Page, path: str) -> None:
    """Open a notebook beside those that are open, run all of it and save it."""
    page.evaluate(RUN, path)
