"""Debezium Server's configuration, made of the very files that configure the connectors in Kafka Connect.

So the two ways to capture cannot drift apart. Debezium Server takes unknown options in silence; here every option of a
connector must be known to be one of three kinds, and one that is not is refused.
"""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from labkit.capture.configs import ConnectorConfig
from labkit.capture.connect import with_decoding_plugin
from labkit.errors import LabError

SOURCE_OPTIONS = frozenset(
    {
        "connector.class",
        "database.hostname",
        "database.port",
        "database.user",
        "database.password",
        "database.dbname",
        "topic.prefix",
        "table.include.list",
        "plugin.name",
        "slot.name",
        "publication.autocreate.mode",
        "poll.interval.ms",
        "heartbeat.interval.ms",
        "heartbeat.action.query",
        "retriable.restart.connector.wait.ms",
        "message.prefix.exclude.list",
        "snapshot.mode",
    }
)
"""Debezium's own: they mean the same in both."""
CHAIN_OPTIONS = ("transforms", "predicates")
"""Transforms and predicates: the same classes with the same options in both."""
CONVERTERS = {"key.converter": "key", "value.converter": "value", "header.converter": "header"}
"""Debezium Server calls a converter a format, and takes Connect's as ``clientprovided``."""
LEFT_OUT: Mapping[str, str] = {
    "tasks.max": "a connector to PostgreSQL has one task anyway",
    "exactly.once.support": "Debezium Server delivers at least once",
    "errors.tolerance": "Debezium Server ends at a record that a transform refuses",
    "errors.log.enable": "it logs such a record in any case",
}
"""Options of Kafka Connect's worker, which Debezium Server has no counterpart of, and what follows from that."""

# Connect's default, which a connector need not name.
HEADER_CONVERTER = "org.apache.kafka.connect.storage.SimpleHeaderConverter"
BYTES = "org.apache.kafka.common.serialization.ByteArraySerializer"
DROP_EMPTY = "emptyheaders"
"""Our transform's name in the chain, see WithoutEmptyHeaders.java."""
POSITIONS_TOPIC = "connect-offsets"
"""Where Kafka Connect keeps what each connector has reached, see SharedPositions.java."""
PASSWORD_VARIABLE = "LABKIT_CAPTURE_PASSWORD"
"""Where docker-compose.yml puts the password."""
FLUSH_MS = 0
"""After every batch: what was delivered after the last flush is delivered again when the process was killed. The slot
is told up to a second later, see CalmPostgresTask.java."""


def kafka_properties(connector: ConnectorConfig, kafka: str, port: int, host: str = "127.0.0.1") -> dict[str, str]:
    """The properties with which Debezium Server writes to Kafka what a connector writes from Kafka Connect.

    Args:
        connector: The connector, as Kafka Connect takes it.
        kafka: Kafka's bootstrap servers.
        port: Where its health is told.
        host: On which address.

    Raises:
        LabError: The connector has an option of which it is not known what becomes of it.
    """
    producer = "debezium.sink.kafka.producer"
    return {
        **source_properties(connector),
        "debezium.sink.type": "kafka",
        f"{producer}.bootstrap.servers": kafka,
        f"{producer}.key.serializer": BYTES,
        f"{producer}.value.serializer": BYTES,
        # A record that is sent again by the producer itself is written once.
        f"{producer}.enable.idempotence": "true",
        f"{producer}.acks": "all",
        # As in Kafka Connect: by default six digits as text are a request.
        f"{producer}.batch.size": "262144",
        "debezium.source.bootstrap.servers": kafka,
        "debezium.source.offset.storage": "labkit.server.SharedPositions",
        "debezium.source.offset.storage.connector": connector.name,
        "debezium.source.offset.storage.topic": POSITIONS_TOPIC,
        "debezium.source.offset.storage.partitions": "1",
        "debezium.source.offset.storage.replication.factor": "1",
        "debezium.source.isolation.level": "read_committed",
        "debezium.source.offset.flush.interval.ms": str(FLUSH_MS),
        **service_properties(port, host),
    }


def http_properties(connector: ConnectorConfig, url: str, secret: str, port: int, host: str) -> dict[str, str]:
    """The properties with which Debezium Server posts a table's changes to a web service, as arrays of JSON objects.

    No Kafka is needed, not even for the position: with ``snapshot.mode=no_data`` and nothing remembered, Debezium goes
    on where PostgreSQL says that its slot was last confirmed, and what the service has answered is confirmed.

    Args:
        connector: As Kafka Connect would take it, with JSON converters.
        url: Where to post.
        secret: Signs each post by the rules of Standard Webhooks: 24 to 64 bytes in Base64.
        port: Where its health is told.
        host: On which address.

    Raises:
        LabError: An option is unknown.
    """
    sink = "debezium.sink.http"
    found = source_properties(connector)
    for part in ("key", "value", "header"):
        # By this name it hands text to the sink, and by a converter's class bytes, which the sink does not take.
        found[f"debezium.format.{part}"] = "json"
        del found[f"debezium.format.{part}.class"]
    return {
        **found,
        "debezium.sink.type": "http",
        f"{sink}.url": url,
        f"{sink}.batch.enabled": "true",
        f"{sink}.authentication.type": "standard-webhooks",
        f"{sink}.authentication.webhook.secret": secret,
        # A service that is away, or starts, is asked again for as long as it takes.
        f"{sink}.retries": "1000000",
        f"{sink}.retry.interval.ms": "250",
        "debezium.source.offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
        "debezium.source.offset.flush.interval.ms": str(FLUSH_MS),
        **service_properties(port, host),
    }


def source_properties(connector: ConnectorConfig) -> dict[str, str]:
    """The part that says what is captured and how it is written, whatever the sink.

    Raises:
        LabError: An option is unknown.
    """
    config = with_decoding_plugin(connector).config
    found: dict[str, str] = {}
    for option, value in config.items():
        head = option.partition(".")[0]
        converter = next((name for name in CONVERTERS if option == name or option.startswith(f"{name}.")), None)
        if option in SOURCE_OPTIONS:
            found[f"debezium.source.{option}"] = value
        elif head in CHAIN_OPTIONS:
            found[f"debezium.{option}"] = value
        elif converter is not None:
            part = f"debezium.format.{CONVERTERS[converter]}"
            found[f"{part}.{option.removeprefix(converter).lstrip('.') or 'class'}"] = value
            found[part] = "clientprovided"
        elif option not in LEFT_OUT:
            near = difflib.get_close_matches(option, [*SOURCE_OPTIONS, *LEFT_OUT], n=1)
            raise LabError(
                f"connector {connector.name}: it is not known what becomes of option {option!r} in Debezium Server",
                f"did you mean {near[0]!r}?" if near else "add it to labkit/capture/server_config.py, or remove it",
            )
    found.setdefault("debezium.format.header", "clientprovided")
    found.setdefault("debezium.format.header.class", HEADER_CONVERTER)
    chain = found.get("debezium.transforms", "")
    found["debezium.transforms"] = ",".join(filter(None, (chain, DROP_EMPTY)))
    found[f"debezium.transforms.{DROP_EMPTY}.type"] = "labkit.server.WithoutEmptyHeaders"
    return found


def service_properties(port: int, host: str) -> dict[str, str]:
    """Where it listens, and how much it says."""
    return {
        "quarkus.http.host": host,
        "quarkus.http.port": str(port),
        "quarkus.banner.enabled": "false",
        "quarkus.log.console.json.enabled": "false",
        "quarkus.log.console.format": "%d{yyyy-MM-dd HH:mm:ss,SSS} %p %c{1}: %s%e%n",
        "quarkus.log.level": "WARN",
        'quarkus.log.category."io.debezium".level': "INFO",
    }


def as_text(properties: Mapping[str, str]) -> str:
    """Properties as a ``.properties`` file, in which a backslash begins an escape."""
    return "".join(f"{_escape(name)}={_escape(value)}\n" for name, value in sorted(properties.items()))


def without_password(connector: ConnectorConfig) -> ConnectorConfig:
    """The connector, whose password is read from the environment when Debezium Server starts.

    For a container: it runs as another user, who has to be able to read its configuration.
    """
    return replace(connector, config={**connector.config, "database.password": f"${{{PASSWORD_VARIABLE}}}"})


def write_properties(path: Path, properties: Mapping[str, str], *, secret: bool = True) -> bool:
    """Write a file that only its owner can read, where it holds a password.

    Args:
        path: The file; its folder is made.
        properties: What to write.
        secret: Whether there is a password among them; else everybody can read it.

    Returns:
        Whether it says something else than before.
    """
    text = as_text(properties)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.read_text() == text:
        return False
    path.touch()
    path.chmod(0o600 if secret else 0o644)
    if not secret:
        path.parent.chmod(0o755)  # Whatever this account's umask: the folder is what a container sees.
    path.write_text(text)
    return True


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
