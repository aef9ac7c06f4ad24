"""Packages of a Debian on which this runs as root."""

import os
import shutil
import subprocess


def can_install() -> bool:
    """Whether packages can be installed here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_commands(package: str) -> "list[list[str]]":
    """What installs one."""
    return [
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
    ]


def run_quietly(commands: "list[list[str]]") -> bool:
    """Run commands until one fails; returns whether none did."""
    return all(subprocess.call(command, stdout=subprocess.DEVNULL) == 0 for command in commands)
