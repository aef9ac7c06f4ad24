"""Where the lab lives, how it is tuned and what things are called.

Values come from, in rising precedence: the defaults below, ``labkit.toml`` in the project's folder, ``LABKIT_*``
environment variables. The ports here are wishes; what the running servers really took stands in `Endpoints`.
"""

import difflib
import os
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from labkit.errors import LabError

CHECKOUT = Path(__file__).resolve().parent.parent
"""The folder that holds the package: the clone, when labkit runs from one."""

TRAIN_TABLE = "mnist_train"
TEST_TABLE = "mnist_test"

CSV_PREFIX = "tf"
"""Topic prefix of the talk's route: label as key, pixels as CSV."""
BYTES_PREFIX = "lab"
"""Topic prefix of the live route: row id as key, 784 raw bytes, the rest in headers."""
PREDICTIONS_TOPIC = "predictions"

LOOPBACK = "127.0.0.1"
"""Where the lab's servers listen, and nowhere else."""

Port = Annotated[int, Field(ge=1, le=65535)]
# The environment gives text, which no literal number equals.
CompilerLevel = Annotated[Literal[1, 4], BeforeValidator(int)]
StackName = Literal["embedded", "compose", "external"]
"""Who runs the servers: processes of this user, docker compose, or somebody else."""
CaptureName = Literal["connect", "server"]
"""What runs Debezium: Kafka Connect, or Debezium Server."""
CAPTURE_ROUTES = ("csv", "bytes")
"""The lab's own routes from the tables to Kafka, see labkit/capture/connectors/."""
BYTES_ROUTE = "bytes"
"""The one that is scored, shown and accounted for."""
HTTP_ROUTE = "http"
"""The route without Kafka: Debezium Server posts to a scorer."""
HTTP_SCORER = "http-scorer"
"""The service that scores what is posted."""

SCORER = "scorer"
"""The service that scores the changes in Kafka, whatever engine it runs."""
CDC_SCORER = "cdc-scorer"
"""The service that captures and scores by itself, beside the other: Flink with its built-in Debezium."""


def table_topic(prefix: str, table: str) -> str:
    """The Kafka topic that Debezium writes a table's change events to."""
    return f"{prefix}.public.{table}"


def _default_home() -> Path:
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".labkit"
    return platformdirs.user_state_path("labkit")


class Settings(BaseSettings):
    """Everything a person may tune. Sizes are in MiB, times in milliseconds."""

    model_config = SettingsConfigDict(
        env_prefix="LABKIT_", toml_file=CHECKOUT / "labkit.toml", extra="forbid", frozen=True
    )

    home: Path = Field(default_factory=_default_home)
    """The lab's own folder: data, logs, models. One lab a folder."""
    cache_dir: Path = Field(default_factory=lambda: platformdirs.user_cache_path("labkit"))
    """Fetched jars, shared by every clone of this user."""
    stack: StackName | None = None
    """Who runs the servers; None for what this lab was when it was last started, at first embedded."""
    capture: CaptureName | None = None
    """What runs Debezium; None for what this lab had when it was last started, at first Kafka Connect."""
    mirror: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Base URL of a machine in the room that serves what the lab fetches, see tools/room.py; empty for the internet."""

    postgres_port: Port = 5432
    kafka_port: Port = 9092
    kafka_controller_port: Port = 9093
    connect_port: Port = 8083
    server_port: Port = 8180
    """Where the first Debezium Server tells its health; the others take the next free ports."""

    # For servers that somebody else runs (stack external): where they are, and the passwords they were started with.
    postgres_host: str = LOOPBACK
    kafka_host: str = LOOPBACK
    connect_host: str = LOOPBACK
    # PostgreSQL as Debezium sees it, where that is another address.
    source_host: str = ""
    source_port: Port | None = None
    admin_password: str = Field(default="", repr=False)
    capture_password: str = Field(default="", repr=False)

    kafka_heap_mib: int = Field(default=192, ge=96)
    connect_heap_mib: int = Field(default=192, ge=96)
    server_heap_mib: int = Field(default=128, ge=64)
    # Of Kafka Connect and Debezium Server: 1 for Java's quick compiler alone, 4 for the strong one, too. With that one,
    # Connect takes half the processor for 1,000 digits a second, after half a minute; before, it takes half as much
    # again, and a second more to begin. The levels between only measure.
    capture_compiler_level: CompilerLevel = 4
    # A slot nobody reads may hold at most this much WAL, so that a forgotten connector cannot fill the disk.
    slot_wal_keep_mib: int = Field(default=512, ge=64)
    # Idle tables write no WAL of their own; a heartbeat lets the slot follow what others write, once that is a MiB, two
    # heartbeats and a moment later. Who waits until all is captured waits for one, too, hence the upper bound.
    heartbeat_ms: int = Field(default=1_000, ge=100, le=30_000)
    # Debezium's default of 500 ms is most of the talk's latency; 5 ms costs little when idle.
    poll_interval_ms: int = Field(default=5, ge=1)
    # For engines that share the work: of the bytes route's topics and the predictions, when they are made.
    partitions: int = Field(default=1, ge=1, le=32)
    min_free_disk_mib: int = Field(default=1024, ge=0)
    start_timeout_s: int = Field(default=120, ge=5)

    @field_validator("home", "cache_dir")
    @classmethod
    def _full_path(cls, path: Path) -> Path:
        """A relative folder would be another one for each notebook and shell."""
        if not path.expanduser().is_absolute():
            raise ValueError("a full path is needed")
        return path.expanduser()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources, first wins: arguments, environment, labkit.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def _refuse_unknown_variables() -> None:
    """A misspelt LABKIT_ variable would otherwise be ignored without a word."""
    known = {f"LABKIT_{name}".upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith("LABKIT_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise LabError(
                f"unknown setting in the environment: {name}",
                f"unset {name}" + (f", or did you mean {near[0]}?" if near else ""),
            )


@cache
def load_settings() -> Settings:
    """Read the settings once per process.

    Raises:
        LabError: A value is out of its range, or a name is unknown.
    """
    _refuse_unknown_variables()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise LabError(
            f"setting {name}: {first['msg']} (found {first.get('input')!r})",
            f"mend {name} in labkit.toml or in LABKIT_{name.upper()}",
        ) from error
    except (OSError, ValueError) as error:
        raise LabError(f"labkit.toml cannot be read: {error}", "mend or remove that file") from error


class Endpoints(BaseModel):
    """Where the running servers answer, and the passwords they take. Written by the stack, read by every client."""

    stack: StackName = "embedded"
    capture: CaptureName = "connect"
    postgres_host: str = LOOPBACK
    postgres_port: Port
    kafka_host: str = LOOPBACK
    kafka_port: Port
    kafka_controller_port: Port | None = None
    connect_host: str = LOOPBACK
    connect_port: Port
    # Where each Debezium Server tells its health, by its name; empty where Kafka Connect captures.
    server_ports: dict[str, Port] = Field(default_factory=dict)
    # PostgreSQL as Debezium sees it: within docker compose another address than that of the notebook.
    source_host: str = LOOPBACK
    source_port: Port
    # Kafka as Debezium sees it; empty where that is the address of everybody.
    source_kafka: str = ""
    database: str = "postgres"
    admin_user: str = "postgres"
    # Not in the repr: a notebook shows what a cell returns.
    admin_password: str = Field(repr=False)
    capture_user: str = "debezium"
    capture_password: str = Field(repr=False)

    @property
    def ports(self) -> set[int]:
        """Every port that a server of this lab listens on."""
        found = {self.postgres_port, self.kafka_port, self.connect_port, *self.server_ports.values()}
        return found if self.kafka_controller_port is None else {*found, self.kafka_controller_port}

    @property
    def kafka(self) -> str:
        """Kafka's bootstrap server, ``host:port``."""
        return f"{self.kafka_host}:{self.kafka_port}"

    @property
    def connect(self) -> str:
        """Base URL of Kafka Connect's REST interface."""
        return f"http://{self.connect_host}:{self.connect_port}"

    @property
    def postgres(self) -> str:
        """Connection string of the lab's owner, for psycopg. Holds the password: not for a screen."""
        return (
            f"host={self.postgres_host} port={self.postgres_port} dbname={self.database} "
            f"user={self.admin_user} password={self.admin_password} connect_timeout=5"
        )


def endpoints_file(settings: Settings) -> Path:
    """The file in which the stack leaves its endpoints for every client."""
    return settings.home / "endpoints.json"


def load_endpoints(settings: Settings) -> Endpoints:
    """Read where the running stack answers.

    Raises:
        LabError: The lab has not been started.
    """
    path = endpoints_file(settings)
    try:
        return Endpoints.model_validate_json(path.read_text())
    except FileNotFoundError:
        raise LabError("the lab is not running here", "labkit up") from None
    except ValidationError as error:
        # Only what is wrong and where: pydantic's own text would quote the file, passwords and all.
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LabError(
            f"{path} is damaged: {f'{where}: ' if where else ''}{first['msg']}", "labkit down, then labkit up"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{path} cannot be read: {error}", "labkit down, then labkit up") from error


def write_endpoints(settings: Settings, endpoints: Endpoints) -> None:
    """Leave where the servers answer for every client, readable by its owner alone."""
    path = endpoints_file(settings)
    path.touch(mode=0o600)
    path.write_text(endpoints.model_dump_json(indent=2))
