"""Builds the project's one Java class, the talk's transform, without a JDK: ECJ compiles it on the lab's own Java."""

import hashlib
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from labkit.errors import LabError

SOURCES = Path(__file__).with_name("smt") / "src" / "main"
RELEASE = "17"
FINGERPRINT = "META-INF/sources.sha256"
# A zip cannot tell times before 1980; a fixed one makes the same sources give the same jar.
EPOCH = (1980, 1, 1, 0, 0, 0)


def build_transform(classpath: Sequence[Path], ecj: Path, java: Path, out: Path) -> Path:
    """Compile the transform and pack it into a jar, unless the jar there is of these sources.

    Args:
        classpath: Jars with Kafka Connect's API.
        ecj: The Eclipse compiler's jar.
        java: The java program to run it with.
        out: The jar to write.

    Returns:
        The jar.

    Raises:
        LabError: The sources do not compile; the message holds the compiler's first lines.
    """
    fingerprint = _fingerprint(SOURCES)
    if _fingerprint_of_jar(out) == fingerprint:
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        classes, jar = Path(folder, "classes"), Path(folder, "transform.jar")
        compile_java([SOURCES / "java"], classes, classpath, ecj, java)
        with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
            for root in (classes, SOURCES / "resources"):
                for path in _files(root):
                    _add(archive, path.relative_to(root).as_posix(), path.read_bytes())
            _add(archive, FINGERPRINT, fingerprint.encode())
        os.replace(jar, out)
    return out


def compile_java(sources: Sequence[Path], classes: Path, classpath: Sequence[Path], ecj: Path, java: Path) -> None:
    """Compile folders of Java sources with ECJ.

    Raises:
        LabError: They do not compile.
    """
    command = [java, "-jar", ecj, "-source", RELEASE, "-target", RELEASE, "-proc:none", "-warn:none", "-d", classes]
    command += ["-cp", os.pathsep.join(str(path) for path in classpath), *sources]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        lines = "\n".join((result.stdout + result.stderr).splitlines()[:20])
        raise LabError(f"the Java transform does not compile:\n{lines}", "mend labkit/capture/smt")


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _fingerprint_of_jar(jar: Path) -> str | None:
    try:
        with zipfile.ZipFile(jar) as archive:
            return archive.read(FINGERPRINT).decode()
    except (OSError, KeyError, zipfile.BadZipFile):
        return None


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
