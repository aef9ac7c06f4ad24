"""A lab of a benchmark's own, and what it runs on."""

import contextlib
import os
import platform
import shutil
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import typer

from labkit import Lab
from labkit.settings import CHECKOUT, Settings, load_settings

LOGS = CHECKOUT / "build" / "benchmark-logs"
"""Here are the logs of those that failed: a lab takes its own with it."""
THREADS_TOLD_S = 2.0


def own_settings(**changes: Any) -> Settings:
    """The user's settings, but for the lab's folder and what else a benchmark wants otherwise."""
    settings = load_settings()
    return settings.model_copy(update={"home": settings.home / "benchmark", **changes})


def to_terminal(line: str) -> None:
    """Tell what happens where it does not mix with figures."""
    typer.echo(line, err=True)


@contextlib.contextmanager
def own_lab(name: str, settings: Settings, report: Callable[[str], None] = to_terminal) -> Generator[Lab]:
    """A running lab with nothing of an earlier run in it. It is gone afterwards.

    Args:
        name: What runs in it, for the logs of a failure.
        settings: See `own_settings`.
        report: Is told how the start goes on.
    """
    lab = Lab(settings)
    lab.down(report=lambda _: None)
    try:
        lab.up(report)
        yield lab
    except BaseException:
        to_terminal(f"the logs are kept in {keep_logs(name, lab)}")
        raise
    finally:
        lab.down(report=lambda _: None)


def keep_logs(name: str, lab: Lab) -> Path:
    """Keep a lab's logs, after each Java process has written what its threads are at."""
    folder = LOGS / name
    for server in lab.stack.status():
        if server.pid and server.name in ("kafka", "connect"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGQUIT)
    time.sleep(THREADS_TOLD_S)
    with contextlib.suppress(FileNotFoundError):  # A lab that could not start may have none.
        shutil.copytree(lab.settings.home / "logs", folder, dirs_exist_ok=True)
    return folder


def machine() -> str:
    """What a benchmark ran on."""
    return f"{os.cpu_count()} processors, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
