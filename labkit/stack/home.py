"""The folder a lab lives in."""

import shutil

from labkit.errors import LabError
from labkit.settings import Settings


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
