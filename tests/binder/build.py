"""Binder's build: repo2docker's own Dockerfile and context, built in the tests' own Docker engine."""

import hashlib
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from repo2docker.buildpacks import CondaBuildPack

from labkit.settings import CHECKOUT
from tests.docker.engine import release, run

HERE = Path(__file__).parent
BASE_ENVIRONMENT = "/tmp/install-base-env.bash"
BASE, PLAIN = "labkit-binder/base", "plain"
PACKAGES = "binutils,ca-certificates,libgomp1,procps,python3,python3-venv,python3-yaml"
"""What a build on Binder finds in buildpack-deps and in conda's environment, as far as it is used."""
BUILDKIT = {"DOCKER_BUILDKIT": "1"}
USER = {"NB_USER": "jovyan", "NB_UID": "1000"}
"""What mybinder.org builds with."""


def build_base() -> str:
    """Make the image that Binder's is built on, unless it is there and made of the same.

    Returns:
        Its name.
    """
    bundle = Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    dockerfile = (HERE / "base.Dockerfile").read_bytes()
    digest = hashlib.sha256(dockerfile + bundle.read_bytes() + f"{release()} {PACKAGES}".encode()).hexdigest()[:16]
    name = f"{BASE}:{digest}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0:
        return name
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    with tempfile.TemporaryDirectory() as work:
        archive = Path(work, "plain.tar")
        options = ["--quiet", "--variant=minbase", f"--include={PACKAGES}", "--dpkgopt=path-exclude=/usr/share/doc/*"]
        run("mmdebstrap", *options, release(), archive, *(path for path in sources if path.is_file()))
        run("docker", "import", archive, PLAIN)
        archive.unlink()
        Path(work, "Dockerfile").write_bytes(dockerfile)
        shutil.copy(bundle, Path(work, "ca-certificates.crt"))
        run("docker", "build", "--quiet", f"--tag={name}", work, env=os.environ | BUILDKIT)
    return name


def build_python(tag: str) -> None:
    """Make an image that stands in for one of the official Python images: Debian's Python with pip, first on the path.

    Args:
        tag: The official name.
    """
    lines = [f"FROM {build_base()}", "RUN python3 -m venv /opt/python", "ENV PATH=/opt/python/bin:$PATH"]
    with tempfile.TemporaryDirectory() as work:
        Path(work, "Dockerfile").write_text("\n".join(lines))
        run("docker", "build", "--quiet", f"--tag={tag}", work, env=os.environ | BUILDKIT)


class BuildPack(CondaBuildPack):
    """repo2docker's build pack for conda, with what cannot be fetched here replaced: conda itself."""

    def get_build_script_files(self) -> dict[str, str]:
        """Files for the build, by their source."""
        files = super().get_build_script_files()
        kept = {source: target for source, target in files.items() if target != BASE_ENVIRONMENT}
        return kept | {str(HERE / "install-base-env.bash"): BASE_ENVIRONMENT, str(HERE / "mamba"): "/tmp/env/mamba"}


class DockerCommand:
    """The engine as repo2docker sees it."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def build(self, *, fileobj: Any, tag: str, buildargs: Mapping[str, str], **_: object) -> Iterator[str]:
        """Build a context; yields nothing, raises where the build fails."""
        options = [part for name, value in buildargs.items() for part in ("--build-arg", f"{name}={value}")]
        command = ["docker", "build", "--progress", "plain", "--tag", tag, *options, "-"]
        with self._log.open("w") as log:
            done = subprocess.run(command, input=fileobj.read(), stdout=log, stderr=log, env=os.environ | BUILDKIT)
        if done.returncode != 0:
            raise RuntimeError(f"Binder's build fails:\n{self._log.read_text()[-6000:]}")
        yield from ()


def copy_clone(folder: Path) -> None:
    """What a clone of this repository has, as repo2docker would get it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, folder / name, follow_symlinks=False)


def build_pack(clone: Path, base: str) -> BuildPack:
    """The build pack that repo2docker takes for a clone; the present folder becomes the clone's, as it wants."""
    os.chdir(clone)
    pack = BuildPack(base)
    pack.platform = "linux/amd64"
    if not pack.detect():
        raise RuntimeError("repo2docker does not take this for a repository with a conda environment")
    return pack


def build(clone: Path, base: str, tag: str, log: Path) -> None:
    """Build an image of a clone the way Binder does.

    Args:
        clone: The clone's folder.
        base: The image to build on.
        tag: The image's name.
        log: Takes what the build says.

    Raises:
        RuntimeError: The build fails; with its last lines.
    """
    here = Path.cwd()
    try:
        pack = build_pack(clone, base)
        for _ in pack.build(DockerCommand(log), tag, 0, dict(USER), [], {}):
            pass
    finally:
        os.chdir(here)
