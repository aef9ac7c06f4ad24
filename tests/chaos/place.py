"""The lab that is struck: two small disks, and a clock that can be shifted, for its Python processes."""

import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from labkit import Lab
from labkit.digits import load_digits
from labkit.model.network import build_network
from labkit.settings import BYTES_ROUTE, TEST_TABLE, Settings
from labkit.stack import postgres
from tests.chaos import clock
from tests.chaos.faults import Faults
from tests.chaos.watcher import Watcher

DISK_MIB = 512
FIRST_ROWS = 500


@contextmanager
def struck_lab(home: Path, capture: Literal["connect", "server"]) -> Generator[tuple[Lab, Watcher, Faults]]:
    """A running lab that captures and scores, with a kernel that watches it.

    Args:
        home: Its folder.
        capture: What captures.
    """
    clock_file = home.with_name(f"{home.name}-clock")
    clock.shift(clock_file, 0)
    shifted = clock.environment(clock_file)
    lab = Lab(Settings(home=home, capture=capture))
    lab.down(report=_say_nothing)
    with ExitStack() as stack:
        stack.callback(clock_file.unlink, missing_ok=True)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("LABKIT_HOME", str(home))
        for name, value in shifted.items():
            patch.setenv(name, value)
        stack.callback(lab.down, report=_say_nothing)
        lab.up(report=_say_nothing)
        disks: dict[str, Path] = {}
        if os.geteuid() == 0:
            lab.down(keep_data=True, report=_say_nothing)
            disks = {"postgres": postgres.place(lab.settings).data, "kafka": home / "kafka"}
            for folder in disks.values():
                stack.callback(subprocess.run, ["umount", folder], check=True)
                move_to_small_disk(folder)
            # The disks are gone after the lab, and the lab's folders after them.
            stack.callback(lab.down, keep_data=True, report=_say_nothing)
            lab.up(report=_say_nothing)
        for name in shifted:
            patch.delenv(name)
        lab.capture(BYTES_ROUTE)
        lab.publish(build_network(seed=1))
        lab.tables.copy(load_digits("bundled", "test").take(FIRST_ROWS), TEST_TABLE)
        lab.settle()
        watcher = Watcher(shifted)
        stack.callback(watcher.close)
        stack.callback(lab.close)
        yield lab, watcher, Faults(lab, watcher, clock_file, disks)


def move_to_small_disk(folder: Path) -> None:
    """Put a disk of its own, in memory, in a folder's place, with all that is in the folder."""
    owner = folder.stat()
    aside = folder.with_name(f"{folder.name}-aside")
    folder.rename(aside)
    folder.mkdir()
    options = f"size={DISK_MIB}m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    _run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)])
    _run(["cp", "-a", f"{aside}/.", str(folder)])
    shutil.rmtree(aside)


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _say_nothing(_: str) -> None:
    pass
