"""Make .venv with everything the lab needs, from any Python 3 and nothing else.

uv is taken from the PATH, or installed once into the user's cache folder. It finds or fetches a Python that fits and
installs the locked packages. A second run with nothing changed does nothing. LABKIT_MIRROR names a machine in the room
that serves all of it (tools/room.py), where there is no internet.

Usage: python3 tools/bootstrap.py [requirements.txt ...]
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
WANTED_PYTHON = ">=3.11,<3.13"
MIRROR = os.environ.get("LABKIT_MIRROR", "").rstrip("/")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labkit"


class SetupError(Exception):
    """What is wrong and what to do, in one line."""


def say(line):
    print("environment: " + line, file=sys.stderr, flush=True)


def run(*command, quiet=False):
    """Run a command; True if it succeeded."""
    output = subprocess.DEVNULL if quiet else None
    return subprocess.call([str(part) for part in command], stdout=output, stderr=output) == 0


def from_mirror():
    """Options that make uv and pip take packages from the machine in the room, where there is one."""
    return ["--no-index", "--find-links", MIRROR + "/wheels/"] if MIRROR else []


def find_uv():
    """Path of uv: the user's own, or one in the cache folder, installed when missing."""
    if shutil.which("uv"):
        return shutil.which("uv")
    folder = CACHE / "uv"
    program = folder / "bin" / "uv"
    if program.exists():
        return program
    say("fetching uv, which installs the rest (25 MB)")
    CACHE.mkdir(parents=True, exist_ok=True)
    pip = (
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        *from_mirror(),
        *(["--trusted-host", urlsplit(MIRROR).hostname] if MIRROR else []),
        "--require-hashes",
        "-r",
        ROOT / "requirements-uv.txt",
    )
    if run(sys.executable, "-m", "venv", "--clear", folder, quiet=True):
        if run(folder / "bin" / "python", *pip) and program.exists():
            return program
        shutil.rmtree(str(folder), ignore_errors=True)
        raise SetupError("uv could not be fetched: check the network, then run the same command again")
    # Some systems ship Python without venv, but with pip.
    shutil.rmtree(str(folder), ignore_errors=True)
    if run(sys.executable, *pip, "--target", folder) and program.exists():
        return program
    shutil.rmtree(str(folder), ignore_errors=True)
    raise SetupError(
        "this Python has no venv: install it (Debian, Ubuntu: sudo apt install python3-venv) or install uv"
    )


def python_fits():
    """Whether .venv is there with a Python in the wanted range."""
    test = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))"
    return PYTHON.exists() and run(PYTHON, "-c", test, quiet=True)


def make_venv(uv):
    """Make .venv with a Python that fits; uv fetches one where the system has none."""
    if python_fits():
        return
    say("making .venv with Python " + WANTED_PYTHON)
    if not run(uv, "venv", "-q", "--clear", "--python", WANTED_PYTHON, VENV):
        raise SetupError(
            "Python 3.11 or 3.12 is needed, and neither was found nor could be fetched: install python3.11"
        )


def install(uv, requirements):
    """Install the locked packages, unless the very same are there."""
    # All locks count, not only the wanted ones: the packages of another lock may have been installed since.
    locks = [*sorted(ROOT.glob("requirements*.txt")), ROOT / "pyproject.toml"]
    content = b"".join(path.read_bytes() for path in locks)
    digest = hashlib.sha256(content + str(ROOT).encode()).hexdigest()[:16]
    stamp = VENV / "-".join([".installed", digest, *(path.name for path in requirements)])
    if stamp.exists():
        say("up to date")
        return
    say("installing locked packages from " + ", ".join(path.name for path in requirements) + " (about 2 GB on disk)")
    for old in set(VENV.glob(".installed-*")) - set(VENV.glob(".installed-" + digest + "-*")):
        old.unlink()
    arguments = ["pip", "install", "--python", PYTHON, *from_mirror(), "--require-hashes"]
    for path in requirements:
        arguments += ["-r", path]
    if not run(uv, *arguments) and not run(uv, "--offline", *arguments):
        raise SetupError(
            "packages could not be installed: check "
            + (MIRROR + ", which must have them for this kind of machine," if MIRROR else "network")
            + " and disk space, then run the same command again"
        )
    # The package itself, editable; its build backend is among the locked packages.
    itself = ["pip", "install", "-q", "--python", PYTHON, "--no-deps", "--no-build-isolation", "--offline", "-e", ROOT]
    if not run(uv, *itself):
        raise SetupError("labkit itself could not be installed; see the lines above")
    stamp.touch()
    say("ready")


def main():
    """Set up .venv; only one at a time."""
    requirements = [ROOT / name for name in sys.argv[1:] or ["requirements.txt"]]
    for path in requirements:
        if not path.is_file():
            say("there is no file " + str(path))
            return 1
    with open(str(ROOT / ".setup.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up of this clone is under way; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            uv = find_uv()
            make_venv(uv)
            install(uv, requirements)
        except SetupError as error:
            say(str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
