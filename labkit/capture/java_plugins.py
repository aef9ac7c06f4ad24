"""Builds labkit's plugins for Kafka Connect, the only Java here, without a JDK: ECJ runs on the lab's own Java."""

import hashlib
import io
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from labkit.errors import LabError

SOURCES = Path(__file__).with_name("java") / "src" / "main"
RELEASE = "17"
"""Java release of the class files, so that Kafka Connect on Java 17 can load them, too."""
FINGERPRINT = "META-INF/sources.sha256"
"""Entry of the jar that says what it was made of: our sources, and the names of the jars they extend."""
# A zip cannot tell times before 1980; a fixed time makes the same sources give the same jar, byte for byte.
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3
# A compiler that runs for a second gains nothing from Java's slower, stronger optimiser: half the time without it.
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def build_plugins(classpath: Sequence[Path], ecj: Path, java: Path, out: Path, *, sources: Path = SOURCES) -> Path:
    """Compile the plugins and pack them into a jar, unless the jar in place was made of the same sources and jars.

    The jar appears whole or not at all, so a reader never meets half of it. Where the sources do not compile, the jar
    in place stays.

    Args:
        classpath: Jars of Kafka Connect, with its runtime, and of Debezium's connector.
        ecj: The Eclipse compiler's jar.
        java: The java program to run it with.
        out: The jar to write; its folder is made when needed.
        sources: Folder that holds ``java`` and ``resources``.

    Returns:
        The jar.

    Raises:
        LabError: The compiler cannot be run, or the sources do not compile.
    """
    fingerprint = fingerprint_of(classpath, sources)
    if _fingerprint_of_jar(out) == fingerprint:
        return out
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder)
        compile_java([sources / "java"], classes, classpath, ecj, java)
        jar = _pack([classes, sources / "resources"], fingerprint)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside its target, as a rename must stay on one disk, and not named .jar: Kafka Connect scans this folder.
    unfinished = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(jar)
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)
    return out


def compile_java(sources: Sequence[Path], classes: Path, classpath: Sequence[Path], ecj: Path, java: Path) -> None:
    """Compile folders of Java sources with ECJ.

    Args:
        sources: Folders with sources.
        classes: Folder for the class files.
        classpath: Jars and folders the sources need.
        ecj: The Eclipse compiler's jar.
        java: The java program to run it with.

    Raises:
        LabError: The compiler cannot be run, or the sources do not compile; then with its first lines.
    """
    # --release would also keep newer library calls out, but needs a file that only a whole JDK has.
    options = ["-source", RELEASE, "-target", RELEASE, "-encoding", "UTF-8", "-proc:none", "-nowarn"]
    paths = os.pathsep.join(str(path) for path in classpath)
    command = [java, *QUICK_START, "-jar", ecj, *options, "-d", classes, "-classpath", paths, *sources]
    for program in (java, ecj):
        if not program.is_file():
            raise LabError(
                f"the Java plugins cannot be compiled: there is no {program}",
                "labkit up fetches what is missing",
            )
    result = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if result.returncode != 0:
        lines = "\n".join((result.stdout + result.stderr).strip().splitlines()[:20])
        raise LabError(f"the Java plugins do not compile:\n{lines}", "mend the source it names")


def _pack(roots: Sequence[Path], fingerprint: str) -> bytes:
    content = {path.relative_to(root).as_posix(): path.read_bytes() for root in roots for path in _files(root)}
    content[FINGERPRINT] = fingerprint.encode()
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = 0o644 << 16
            # Stored, not deflated: compressed bytes differ between versions of zlib.
            archive.writestr(entry, content[name], zipfile.ZIP_STORED)
    return memory.getvalue()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def fingerprint_of(classpath: Sequence[Path], sources: Path = SOURCES) -> str:
    """What tells a jar of these sources, compiled with jars of these names, from every other: 64 hexadecimal digits."""
    digest = hashlib.sha256(RELEASE.encode())
    for jar in classpath:
        digest.update(jar.name.encode() + b"\0")
    for path in _files(sources):
        digest.update(path.relative_to(sources).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _fingerprint_of_jar(jar: Path) -> str | None:
    try:
        with zipfile.ZipFile(jar) as archive:
            return archive.read(FINGERPRINT).decode()
    except (OSError, KeyError, zipfile.BadZipFile):
        return None
