"""Make sure that there is a Chromium for the browser test.

The system's is taken where there is one. Where this runs as root on a Debian, it is installed with apt; elsewhere
Playwright fetches its own.
"""

import shutil
import sys
from pathlib import Path

import debian

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Path of the system's Chromium."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def main() -> int:
    """Install a browser unless there is one."""
    if find():
        return 0
    print("chromium: installing it for the browser test", file=sys.stderr)
    if debian.can_install():
        commands = debian.install_commands("chromium")
    else:
        python = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "python"
        commands = [[str(python), "-m", "playwright", "install", "chromium"]]
    if not debian.run_quietly(commands):
        print("chromium: could not be installed; install Chromium, then run the same command again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
