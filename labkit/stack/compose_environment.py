"""The variables docker-compose.yml needs, in a file of the lab's home that only its owner can read."""

from collections.abc import Mapping
from pathlib import Path

from labkit.settings import CHECKOUT, Endpoints, Settings

COMPOSE_FILE = CHECKOUT / "docker-compose.yml"
SAMPLE = CHECKOUT / "docker.env.sample"
BESIDE_HEAP_MIB = 448
"""What a Java server takes beside its heap, MiB: its code, its threads, its buffers, and some air."""


def environment_file(settings: Settings) -> Path:
    """Where a lab's variables are, or will be."""
    return settings.home / "compose" / "docker.env"


def write_environment(settings: Settings, endpoints: Endpoints, plugins: Path) -> Path:
    """Write the variables of one start.

    Args:
        settings: The lab's tunables.
        endpoints: The ports to publish, and the passwords.
        plugins: Folder that holds labkit-plugins.jar alone.

    Returns:
        The file.
    """
    path = environment_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    lines = [f"{name}={value}\n" for name, value in variables(settings, endpoints, plugins).items()]
    path.write_text("# Written by labkit at each start.\n" + "".join(lines))
    return path


def variables(settings: Settings, endpoints: Endpoints, plugins: Path) -> Mapping[str, str | int | Path]:
    """The variables of docker-compose.yml, by name.

    What differs from a setting of labkit has a name that no setting has: compose prefers a variable of the shell.
    """
    servers = {
        f"LABKIT_PUBLISHED_{name.upper().replace('-', '_')}_PORT": port for name, port in endpoints.server_ports.items()
    }
    return servers | {
        "LABKIT_ADMIN_PASSWORD": endpoints.admin_password,
        "LABKIT_CAPTURE_PASSWORD": endpoints.capture_password,
        "LABKIT_PLUGINS_FOLDER": plugins,
        "LABKIT_PUBLISHED_POSTGRES_PORT": endpoints.postgres_port,
        "LABKIT_PUBLISHED_KAFKA_PORT": endpoints.kafka_port,
        "LABKIT_PUBLISHED_CONNECT_PORT": endpoints.connect_port,
        "LABKIT_KAFKA_HEAP_MIB": settings.kafka_heap_mib,
        "LABKIT_KAFKA_MEMORY_MIB": settings.kafka_heap_mib + BESIDE_HEAP_MIB,
        "LABKIT_CAPTURE_COMPILER_LEVEL": settings.capture_compiler_level,
        "LABKIT_CONNECT_HEAP_MIB": settings.connect_heap_mib,
        "LABKIT_CONNECT_MEMORY_MIB": settings.connect_heap_mib + BESIDE_HEAP_MIB,
        "LABKIT_SLOT_WAL_KEEP_MIB": settings.slot_wal_keep_mib,
        "LABKIT_SERVER_FOLDER": settings.home / "server",
        "LABKIT_SERVER_HEAP_MIB": settings.server_heap_mib,
        "LABKIT_SERVER_MEMORY_MIB": settings.server_heap_mib + BESIDE_HEAP_MIB,
    }
