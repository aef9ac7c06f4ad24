"""The folder a lab lives in."""

import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from labkit.errors import LabError
from labkit.settings import Settings
from labkit.stack.base import Report


def prepare_home(settings: Settings) -> None:
    """Make the lab's folder, for its owner alone, and see that there is room in it.

    Raises:
        LabError: It cannot be written, or the disk is nearly full.
    """
    home = settings.home
    try:
        (home / "logs").mkdir(parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as error:
        raise LabError(
            f"the lab's folder {home} cannot be written: {error.strerror}", "set LABKIT_HOME to a folder of yours"
        ) from error
    free_mib = shutil.disk_usage(home).free / 2**20
    if free_mib < settings.min_free_disk_mib:
        raise LabError(
            f"only {free_mib:.0f} MiB free where the lab lives ({home}), it wants {settings.min_free_disk_mib} MiB",
            "make room, or set LABKIT_HOME to a folder on another disk",
        )


@contextmanager
def one_at_a_time(settings: Settings, report: Report) -> Generator[None]:
    """Do one thing at a time to a lab: a start that comes while it stops waits, and so the other way round."""
    lock = FileLock(settings.home / "up.lock")
    waiting = False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=-1 if waiting else 0)
        except Timeout:
            report("another start or stop of this lab is under way; waiting for it")
            waiting = True
        except FileNotFoundError:  # The stop that was waited for has removed the folder.
            prepare_home(settings)
    try:
        yield
    finally:
        lock.release()


def kept_password(settings: Settings, name: str) -> str:
    """A random password, made on first use and kept beside the data that know it, readable by their owner alone."""
    path = settings.home / f"{name}.password"
    if not path.is_file():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(16))
    return path.read_text()
