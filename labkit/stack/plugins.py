"""Our Java plugins, compiled with the jars of Kafka and of Debezium's connector that a lab runs."""

import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from labkit.capture.java_plugins import build_plugins, fingerprint_of
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.java import JAVA

PLUGINS_JAR = "labkit-plugins.jar"


def alone(cache: ArtifactCache) -> Path:
    """Build the jar in a folder that holds nothing else, as images are made of; return the jar.

    What every lab needs must have been fetched.
    """
    with FileLock(cache.folder / "fetch.lock"):
        classpath = _classpath(cache)
        return _build(cache, classpath, cache.folder / "plugins" / f"labkit-{fingerprint_of(classpath)[:12]}")


def beside_debezium(cache: ArtifactCache) -> Path:
    """Build the jar in a folder with Debezium's connector; return the jar.

    Connect shuts each plugin's classes off from those of others, and ours extend Debezium's. Another version of labkit
    that shares the cache has another folder. What every lab needs must have been fetched.
    """
    with FileLock(cache.folder / "fetch.lock"):
        connector, classpath = cache.unpack_plugin(), _classpath(cache)
        plugins = connector.parent.with_name(f"{connector.parent.name}-{fingerprint_of(classpath)[:12]}")
        if not plugins.is_dir():
            with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".plugins-") as folder:
                staging = Path(folder) / "plugins"
                shutil.copytree(connector, staging / connector.name, copy_function=os.symlink)
                os.replace(staging, plugins)
        return _build(cache, classpath, plugins / connector.name)


def _classpath(cache: ArtifactCache) -> list[Path]:
    return [*cache.paths("kafka"), *sorted(cache.unpack_plugin().glob("debezium-*.jar"))]


def _build(cache: ArtifactCache, classpath: list[Path], folder: Path) -> Path:
    (ecj,) = cache.paths("ecj")
    return build_plugins(classpath, ecj, JAVA, folder / PLUGINS_JAR)
