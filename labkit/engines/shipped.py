"""This labkit as one file, for the Python of a cluster's workers."""

import shutil
from pathlib import Path

from labkit.settings import CHECKOUT


def ship_labkit(folder: Path) -> str:
    """Write ``labkit.zip``, from which Python imports labkit as it is here.

    Args:
        folder: Gets it.

    Returns:
        Its path.
    """
    return shutil.make_archive(str(folder / "labkit"), "zip", CHECKOUT, "labkit")
