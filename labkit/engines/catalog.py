"""Which engines there are, and what each takes."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from labkit.errors import LabError
from labkit.settings import CDC_SCORER, SCORER


@dataclass(frozen=True, slots=True)
class Packages:
    """What engines are made of: one Python environment.

    Attributes:
        name: What commands call it.
        title: What people call it.
        lock: Its Python packages, locked with hashes.
        jars: Its group in labkit/stack/artifacts.toml: what its packages lack; None for nothing.
        pythons: Versions of Python that they are built for, the newest last.
        download_mib: What is fetched, once.
        disk_mib: What it takes on disk.
    """

    name: str
    title: str
    lock: Path
    jars: str | None
    pythons: tuple[str, ...]
    download_mib: int
    disk_mib: int


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that scores digits.

    Attributes:
        name: What commands call it.
        title: What people call it.
        packages: What it is made of.
        module: Its job, run in its environment.
        memory_mib: Free memory that its job wants.
        place: Where it can run.
        places: An example or two of that, in words.
        service: The lab's service that runs its job. One of its own does not replace what scores the changes in Kafka.
    """

    name: str
    title: str
    packages: Packages
    module: str
    memory_mib: int
    place: re.Pattern[str]
    places: str
    service: str = SCORER


FOLDER = Path(__file__).parent
Thing = TypeVar("Thing")
PACKAGES: Mapping[str, Packages] = {
    "spark": Packages(
        name="spark",
        title="Apache Spark 4.2",
        lock=FOLDER / "spark.txt",
        jars="spark",
        pythons=("3.11", "3.12"),
        download_mib=620,
        disk_mib=1100,
    ),
    "flink": Packages(
        name="flink",
        title="Apache Flink 1.20",
        lock=FOLDER / "flink.txt",
        jars="flink",
        pythons=("3.11",),
        download_mib=480,
        disk_mib=1000,
    ),
}
FLINK_PLACE = re.compile(r"local(\[[1-9]\d*\])?|[\w.-]+:\d+")
FLINK_PLACES = "local[2], or host:8081 for a session cluster"
ENGINES: Mapping[str, Engine] = {
    "spark": Engine(
        name="spark",
        title="Spark",
        packages=PACKAGES["spark"],
        module="labkit.engines.spark_score",
        memory_mib=1200,
        # https://spark.apache.org/docs/latest/submitting-applications.html#master-urls
        place=re.compile(r"local(\[([1-9]\d*|\*)\])?|spark://[\w.-]+:\d+|yarn|k8s://\S+"),
        places="local[2] or spark://host:7077",
    ),
    "flink-kafka": Engine(
        name="flink-kafka",
        title="Flink through Kafka",
        packages=PACKAGES["flink"],
        module="labkit.engines.flink_kafka",
        memory_mib=1200,
        place=FLINK_PLACE,
        places=FLINK_PLACES,
    ),
    "flink-cdc": Engine(
        name="flink-cdc",
        title="Flink with its built-in Debezium",
        packages=PACKAGES["flink"],
        module="labkit.engines.flink_cdc",
        memory_mib=1200,
        place=FLINK_PLACE,
        places=FLINK_PLACES,
        service=CDC_SCORER,
    ),
}
LOCAL = "local"
"""The lab's own scorer, which needs no engine."""


def find_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        LabError: There is none.
    """
    return _find(ENGINES, name)


def find_packages(name: str) -> Packages:
    """What is installed under that name: packages, or an engine, by what it is made of.

    Raises:
        LabError: There is no such thing.
    """
    return ENGINES[name].packages if name in ENGINES else _find(PACKAGES, name)


def _find(there: Mapping[str, Thing], name: str) -> Thing:
    if name not in there:
        near = difflib.get_close_matches(name, there, n=1)
        raise LabError(
            f"there is no engine {name!r}", f"did you mean {near[0]!r}?" if near else f"one of {', '.join(there)}"
        )
    return there[name]
