"""Our Java plugins, compiled with the jars of Kafka and of Debezium's connector that a lab runs."""

from pathlib import Path

from filelock import FileLock

from labkit.capture.java_plugins import build_plugins
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.java import JAVA

PLUGINS_JAR = "labkit-plugins.jar"


def alone(cache: ArtifactCache) -> Path:
    """Build the jar in a folder that holds nothing else, as images are made of; return the jar.

    What every lab needs must have been fetched.
    """
    with FileLock(cache.folder / "fetch.lock"):
        return _build(cache, cache.unpack_plugin(), cache.folder / "plugins" / "labkit")


def beside_debezium(cache: ArtifactCache) -> Path:
    """Build the jar in the folder of Debezium's connector; return the jar.

    Connect shuts each plugin's classes off from those of others, and ours extend Debezium's. What every lab needs must
    have been fetched.
    """
    with FileLock(cache.folder / "fetch.lock"):
        connector = cache.unpack_plugin()
        return _build(cache, connector, connector)


def _build(cache: ArtifactCache, connector: Path, folder: Path) -> Path:
    (ecj,) = cache.paths("ecj")
    classpath = [*cache.paths("kafka"), *sorted(connector.glob("debezium-*.jar"))]
    return build_plugins(classpath, ecj, JAVA, folder / PLUGINS_JAR)
