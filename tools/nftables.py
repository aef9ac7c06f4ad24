"""Make sure that there is nft, with which tests/chaos refuses connections to a port of this machine.

Only root may change such rules: for others there is nothing to install, and those faults are left out by name.
"""

import shutil
import sys

import debian


def main() -> int:
    """Install it unless it is there or cannot be used."""
    if shutil.which("nft") or not debian.can_install():
        return 0
    print("nftables: installing it for the tests with faults", file=sys.stderr)
    if not debian.run_quietly(debian.install_commands("nftables")):
        print("nftables: could not be installed; those faults are left out", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
