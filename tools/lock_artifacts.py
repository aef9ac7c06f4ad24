"""Write labkit/stack/artifacts.toml: every jar the lab runs, with its checksum and size.

Run it after changing a version below. Maven resolves the dependencies (its rules are the ones the jars were built for),
so this one tool needs `mvn`; using the lab never does.
"""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

KAFKA = "4.3.1"
DEBEZIUM = "3.6.3.Final"
SPARK = "4.2.0"
FLINK = "1.20.5"
# Its newest release; another one may hold other jars: see labkit/stack/debezium_server.txt.
DEBEZIUM_SERVER = "3.6.0.Final"
ROOTS = {
    "kafka": [
        f"org.apache.kafka:kafka_2.13:{KAFKA}",
        f"org.apache.kafka:connect-runtime:{KAFKA}",
        f"org.apache.kafka:connect-json:{KAFKA}",
        f"org.apache.kafka:connect-transforms:{KAFKA}",
        # Kafka speaks SLF4J 1.7; without a binding it logs nothing at all.
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1",
    ],
}
SINGLE = {
    "debezium": [f"io.debezium:debezium-connector-postgres:{DEBEZIUM}:plugin:tar.gz"],
    "debezium-server": [f"io.debezium:debezium-server-dist:{DEBEZIUM_SERVER}::tar.gz"],
    # What pyspark's own jars lack of the connector's dependencies.
    "spark": [
        f"org.apache.spark:spark-sql-kafka-0-10_2.13:{SPARK}",
        f"org.apache.spark:spark-token-provider-kafka-0-10_2.13:{SPARK}",
        "org.apache.kafka:kafka-clients:3.9.2",
        "org.apache.commons:commons-pool2:2.13.1",
    ],
    # No connector is among apache-flink's own jars. PostgreSQL's driver comes with Flink CDC.
    "flink": [
        f"org.apache.flink:flink-connector-base:{FLINK}",
        "org.apache.flink:flink-connector-kafka:3.4.0-1.20",
        "org.apache.kafka:kafka-clients:3.9.2",
        "org.apache.flink:flink-sql-connector-postgres-cdc:3.5.0",
        "org.apache.flink:flink-connector-jdbc-core:3.3.0-1.20",
        "org.apache.flink:flink-connector-jdbc-postgres:3.3.0-1.20",
    ],
    "ecj": ["org.eclipse.jdt:ecj:3.38.0"],
    "junit": ["org.junit.platform:junit-platform-console-standalone:1.11.4"],
}
TARGET = Path(__file__).resolve().parent.parent / "labkit" / "stack" / "artifacts.toml"


def resolve(roots: list[str]) -> list[str]:
    """All runtime dependencies of some Maven coordinates, themselves included."""
    dependencies = ""
    for root in roots:
        group, artifact, version = root.split(":")
        dependencies += (
            f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
            f"<version>{version}</version></dependency>"
        )
    with tempfile.TemporaryDirectory() as folder:
        pom, listing = Path(folder, "pom.xml"), Path(folder, "list.txt")
        pom.write_text(
            "<project><modelVersion>4.0.0</modelVersion><groupId>lab</groupId><artifactId>lock</artifactId>"
            f"<version>1</version><dependencies>{dependencies}</dependencies></project>"
        )
        subprocess.run(
            ["mvn", "-q", "-B", "-f", pom, "dependency:list", "-DincludeScope=runtime", f"-DoutputFile={listing}"],
            check=True,
        )
        lines = [line.strip().split(" ")[0] for line in listing.read_text().splitlines() if ":jar:" in line]
    found: list[str] = []
    for line in lines:
        group, artifact, _packaging, version, _scope = line.split(":")
        found.append(f"{group}:{artifact}:{version}")
    return sorted(found)


def main() -> None:
    """Resolve, download, hash, write."""
    groups = {name: resolve(roots) for name, roots in ROOTS.items()} | SINGLE
    lines = ["# Written by tools/lock_artifacts.py. Coordinates are group:artifact:version[:classifier:packaging].", ""]
    with tempfile.TemporaryDirectory() as folder:
        maven = MavenContext(repo_cache=Path(folder), timeout=120)
        for name, coordinates in groups.items():
            for coordinate in coordinates:
                group, artifact, version, *rest = coordinate.split(":")
                classifier, packaging = rest or ("", "jar")
                component = maven.project(group, artifact).at_version(version)
                path = component.artifact(classifier=classifier, packaging=packaging).resolve()
                content = path.read_bytes()
                lines += [
                    f"[[{name}]]",
                    f'coordinate = "{coordinate}"',
                    f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
                    f"size = {len(content)}",
                    "",
                ]
    TARGET.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
