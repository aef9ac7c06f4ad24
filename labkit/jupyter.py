"""JupyterLab beside the servers: started with them, and the servers stopped with the last one."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from labkit.lab import Lab
from labkit.settings import CHECKOUT
from labkit.stack.base import Report


def run_jupyter(lab: Lab, notebook: str, *, browser: bool, report: Report) -> None:
    """Run JupyterLab until it ends; then stop the servers, unless another one of this lab is still open."""
    command = [sys.executable, "-m", "jupyter", "lab", str(CHECKOUT / "notebooks" / notebook)]
    command.append(f"--notebook-dir={CHECKOUT / 'notebooks'}")
    if not browser:
        command.append("--no-browser")
    if os.geteuid() == 0:
        command.append("--allow-root")
    sessions = lab.settings.home / "sessions"
    sessions.mkdir(exist_ok=True)
    mine = sessions / str(os.getpid())
    mine.touch()
    report("JupyterLab: starting; end it with Ctrl-C, which stops the servers and keeps the data")
    process = subprocess.Popen(command)
    try:
        process.wait()
    except KeyboardInterrupt:
        # JupyterLab received the same Ctrl-C and asks whether it is meant; a second one ends it.
        try:
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
    finally:
        mine.unlink(missing_ok=True)
        if _others(sessions):
            report("another JupyterLab of this lab is open: the servers stay")
        else:
            lab.down(keep_data=True, report=report)


def _others(sessions: Path) -> bool:
    """Whether another session is alive; notes of killed ones are cleared away."""
    alive = False
    for note in sessions.iterdir():
        if psutil.pid_exists(int(note.name)):
            alive = True
        else:
            note.unlink(missing_ok=True)
    return alive
