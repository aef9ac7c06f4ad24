"""Which engines there are, and what each takes."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import LabError


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that scores digits.

    Attributes:
        name: What commands call it.
        title: What people call it.
        lock: Its Python packages, locked with hashes.
        jars: Its group in labkit/stack/artifacts.toml: what its packages lack.
        module: Its job, run in its environment.
        download_mib: What is fetched, once.
        disk_mib: What its environment takes on disk.
        memory_mib: Free memory that its job wants.
    """

    name: str
    title: str
    lock: Path
    jars: str
    module: str
    download_mib: int
    disk_mib: int
    memory_mib: int


ENGINES: Mapping[str, Engine] = {
    "spark": Engine(
        name="spark",
        title="Apache Spark 4.2",
        lock=Path(__file__).with_name("spark.txt"),
        jars="spark",
        module="labkit.engines.spark_score",
        download_mib=620,
        disk_mib=1100,
        memory_mib=1200,
    ),
}
LOCAL = "local"
"""The lab's own scorer, which needs no engine."""


def find_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        LabError: There is none.
    """
    if name not in ENGINES:
        near = difflib.get_close_matches(name, ENGINES, n=1)
        raise LabError(
            f"there is no engine {name!r}", f"did you mean {near[0]!r}?" if near else f"one of {', '.join(ENGINES)}"
        )
    return ENGINES[name]


MASTER = re.compile(r"local(\[(\d+|\*)\])?|spark://[\w.-]+:\d+|yarn|k8s://\S+")
"""Where Spark can run, see https://spark.apache.org/docs/latest/submitting-applications.html#master-urls."""


def check_master(master: str) -> str:
    """Where an engine runs, as it was given.

    Raises:
        LabError: It is no such place.
    """
    if not MASTER.fullmatch(master):
        raise LabError(f"an engine cannot run at {master!r}", "such as local[2] or spark://host:7077")
    return master
