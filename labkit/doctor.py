"""Checks a machine before the workshop: what is missing, and what mends it."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import psutil

from labkit.errors import LabError
from labkit.settings import Settings, load_endpoints
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.compose import ComposeStack
from labkit.stack.java import JAVA
from labkit.stack.ports import is_free

PYTHONS = ((3, 11), (3, 12))
MEMORY_MIB = 2000
"""What the whole lab takes with a notebook that trains; `labkit demo` measures it."""

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked thing.

    Attributes:
        what: What was looked at.
        level: ``ok``; ``warning`` for what works less well; ``error`` for what must be mended.
        found: What was found.
        fix: What to do; empty where nothing is to be done.
    """

    what: str
    level: Level
    found: str
    fix: str = ""


def examine(settings: Settings, *, docker: bool = False) -> list[Finding]:
    """Look at Python, memory, disk, cache, ports, Java, TensorFlow and, if wanted, Docker."""
    findings = [_python(), _memory(), _disk(settings), _cache(settings), _java(), _tensorflow_io()]
    findings += _ports(settings)
    if docker:
        findings.append(_docker(settings))
    return findings


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in PYTHONS:
        return Finding("Python", "ok", found)
    return Finding("Python", "error", found, "make setup, which fetches Python 3.11")


def _memory() -> Finding:
    available = psutil.virtual_memory().available / 2**20
    if available >= MEMORY_MIB:
        return Finding("memory", "ok", f"{available:,.0f} MiB available")
    return Finding(
        "memory", "warning", f"{available:,.0f} MiB available of {MEMORY_MIB:,} wanted", "close other programs"
    )


def _disk(settings: Settings) -> Finding:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**20
    if free >= settings.min_free_disk_mib:
        return Finding("disk", "ok", f"{free:,.0f} MiB free for {settings.home}")
    found = f"{free:,.0f} MiB free of {settings.min_free_disk_mib:,} wanted for {settings.home}"
    return Finding("disk", "error", found, "make room, or set LABKIT_HOME")


def _cache(settings: Settings) -> Finding:
    try:
        missing = ArtifactCache(settings.cache_dir).missing()
    except LabError as error:
        return Finding("jars", "error", error.problem, error.fix or "")
    if not missing:
        return Finding("jars", "ok", f"all in {settings.cache_dir}")
    size = sum(artifact.size for artifact in missing) / 1e6
    return Finding("jars", "warning", f"{len(missing)} to fetch, {size:.0f} MB", "labkit up, while the network is good")


def _java() -> Finding:
    try:
        result = subprocess.run([JAVA, "-version"], capture_output=True, text=True)
    except OSError as error:
        return Finding("Java", "error", f"it does not start: {error.strerror}", "make setup")
    line = ((result.stderr or result.stdout).splitlines() or ["it does not start"])[0]
    return Finding("Java", "ok", line) if result.returncode == 0 else Finding("Java", "error", line, "make setup")


def _tensorflow_io() -> Finding:
    # It imports with any TensorFlow and fails only at the first dataset: so ask for what a dataset needs.
    code = "from tensorflow_io.python.ops import core_ops; core_ops.io_kafka_group_readable_init"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if result.returncode == 0:
        return Finding("tensorflow-io", "ok", "its Kafka library loads")
    return Finding("tensorflow-io", "error", (result.stderr.splitlines() or ["it fails"])[-1][:120], "make setup")


def _ports(settings: Settings) -> list[Finding]:
    try:
        load_endpoints(settings)
    except LabError:
        pass
    else:
        return [Finding("ports", "ok", "the lab is up; see labkit status")]
    wished = {
        "PostgreSQL": settings.postgres_port,
        "Kafka": settings.kafka_port,
        "Kafka's controller": settings.kafka_controller_port,
        "Kafka Connect": settings.connect_port,
    }
    return [
        Finding(f"port {port}", "ok", f"free for {name}")
        if is_free(port)
        else Finding(f"port {port}", "warning", f"taken; {name} will use the next free one", "nothing need be done")
        for name, port in wished.items()
    ]


def _docker(settings: Settings) -> Finding:
    try:
        return Finding("Docker", "ok", ComposeStack(settings).version())
    except LabError as error:
        return Finding("Docker", "error", error.problem, error.fix or "")
