"""JupyterLab beside the servers: started with them, and the servers stopped with the last one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from labkit.lab import Lab
from labkit.settings import CHECKOUT
from labkit.stack.base import Report
from labkit.stack.home import prepare_home


def run_jupyter(lab: Lab, notebook: str, *, browser: bool, report: Report) -> None:
    """Start the servers and JupyterLab; once it ends stop the servers, unless another one of this lab is still open.

    However it ends, even while the servers start, nothing is left running. The data stay.

    Raises:
        LabError: Something on this machine is in the way; the message says what and how to mend it.
    """
    prepare_home(lab.settings)
    sessions = lab.settings.home / "sessions"
    sessions.mkdir(exist_ok=True)
    mine = sessions / str(os.getpid())
    mine.touch()
    try:
        lab.up(report)
        ask_nothing()
        report("JupyterLab: starting; end it with Ctrl-C, which stops the servers and keeps the data")
        _run(_command(notebook, browser=browser))
    finally:
        # Impatience must not leave servers behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        mine.unlink(missing_ok=True)
        if _others(sessions):
            report("another JupyterLab of this lab is open: the servers stay")
        else:
            lab.down(keep_data=True, report=report)


def ask_nothing() -> None:
    """Make JupyterLab ask nothing about news, by a default of this environment: in a workshop nobody should have to."""
    defaults = Path(sys.prefix, "share", "jupyter", "lab", "settings", "overrides.json")
    if not defaults.exists():
        defaults.parent.mkdir(parents=True, exist_ok=True)
        defaults.write_text(json.dumps({"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}))


def _command(notebook: str, *, browser: bool) -> list[str]:
    command = [sys.executable, "-m", "jupyter", "lab", str(CHECKOUT / "notebooks" / notebook)]
    command.append(f"--notebook-dir={CHECKOUT / 'notebooks'}")
    # Where no browser opens the notebook by itself, the address that JupyterLab prints leads there.
    command.append(f"--LabApp.default_url=/lab/tree/{notebook}")
    # Its own default is a login shell where its output is no terminal, and that would set PATH anew.
    command.append(f"--ServerApp.terminado_settings=shell_command={os.environ.get('SHELL') or 'sh'}")
    if not browser:
        command.append("--no-browser")
    if os.geteuid() == 0:
        command.append("--allow-root")
    return command


def _run(command: list[str]) -> None:
    # In JupyterLab's terminals and cells, `labkit` is this lab's command.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    process = subprocess.Popen(command, env=os.environ | {"PATH": path})
    try:
        process.wait()
    except KeyboardInterrupt:
        # JupyterLab received the same Ctrl-C and asks whether it is meant; a second one ends it.
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _others(sessions: Path) -> bool:
    """Whether another session is alive; notes of killed ones are cleared away."""
    alive = False
    for note in sessions.glob("*"):  # None where the lab was deleted meanwhile.
        if psutil.pid_exists(int(note.name)):
            alive = True
        else:
            note.unlink(missing_ok=True)
    return alive
