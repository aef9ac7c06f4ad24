"""Connector configurations as data, and what the Connect client says when nobody answers."""

import json
import re
import socket
from string import Template

import pytest

from labkit.capture.configs import FOLDER, ConnectorConfig, load_config
from labkit.capture.connect import ConnectClient, with_decoding_plugin
from labkit.errors import LabError
from labkit.settings import BYTES_PREFIX, CSV_PREFIX, Endpoints, Settings

ROUTES = ("bytes", "csv", "http", "iris", "talk")
POSTGRES = {"connector.class": "io.debezium.connector.postgresql.PostgresConnector"}
SETTINGS = Settings(poll_interval_ms=7, heartbeat_ms=8000)
ENDPOINTS = Endpoints(
    postgres_port=15432,
    kafka_port=9192,
    connect_port=8183,
    source_host="database.example",
    source_port=5433,
    database="digits",
    admin_user="owner",
    admin_password="owner-secret",
    capture_user="capturer",
    capture_password="capturer-secret",
)


def test_these_are_the_routes() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == list(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
def test_route_file_is_json_with_known_placeholders(route: str) -> None:
    text = (FOLDER / f"{route}.json").read_text()
    document = json.loads(text)
    assert document.keys() == {"name", "config"}
    assert all(isinstance(value, str) for value in document["config"].values())
    known = {*Endpoints.model_fields, *Settings.model_fields}
    assert Template(text).is_valid()
    assert {"source_host", "source_port"} <= set(Template(text).get_identifiers()) <= known


@pytest.mark.parametrize("route", ROUTES)
def test_every_placeholder_is_filled(route: str) -> None:
    config = load_config(route, ENDPOINTS, SETTINGS).config
    assert (config["database.hostname"], config["database.port"]) == ("database.example", "5433")
    assert config["database.dbname"] == "digits"
    assert not [value for value in config.values() if re.search(r"\$\{|\$\$", value)]


def test_the_talks_route_is_the_configuration_that_the_talk_printed() -> None:
    # Three differences: where the servers are, and "unwrap,mnist", where the slide has "unwrap,_mnist" by a slip.
    assert load_config("talk", ENDPOINTS, SETTINGS) == ConnectorConfig(
        "mnist-connector",
        {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": "1",
            "database.hostname": "database.example",
            "database.port": "5433",
            "database.user": "owner",
            "database.password": "owner-secret",
            "database.dbname": "digits",
            "topic.prefix": "tf",
            "table.include.list": "public.mnist_.*",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "transforms": "unwrap,mnist",
            "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
            "transforms.mnist.type": "io.debezium.transforms.MnistToCsv",
        },
    )


def test_csv_route_adds_to_the_talks_and_has_a_connector_that_rests() -> None:
    talk, csv = (load_config(route, ENDPOINTS, SETTINGS) for route in ("talk", "csv"))
    differing = {option for option, value in talk.config.items() if csv.config[option] != value}
    assert csv.name == talk.name
    assert differing == {"database.user", "database.password", "connector.class"}
    assert csv.config["connector.class"] == "labkit.connect.CalmPostgresConnector"


@pytest.mark.parametrize(("route", "prefix"), [("csv", CSV_PREFIX), ("bytes", BYTES_PREFIX)])
def test_own_routes_capture_as_the_capture_user_with_the_labs_tunables(route: str, prefix: str) -> None:
    config = load_config(route, ENDPOINTS, SETTINGS).config
    assert (config["database.user"], config["database.password"]) == ("capturer", "capturer-secret")
    # Only the live route is in a hurry: an idle connector pays for each look.
    assert config["poll.interval.ms"] == ("7" if route == "bytes" else "100")
    assert config["heartbeat.interval.ms"] == "8000"
    assert config["topic.prefix"] == prefix


def test_the_two_own_routes_share_neither_name_nor_slot() -> None:
    csv, live = (load_config(route, ENDPOINTS, SETTINGS) for route in ("csv", "bytes"))
    assert csv.name != live.name and csv.slot != live.slot


def test_slot_is_debeziums_default_where_none_is_named() -> None:
    assert load_config("talk", ENDPOINTS, SETTINGS).slot == "debezium"


@pytest.mark.parametrize("route", ["cvs", "", "../configs", "talk.json"])
def test_unknown_route_is_refused_with_the_known_ones(route: str) -> None:
    with pytest.raises(LabError) as refusal:
        load_config(route, ENDPOINTS, SETTINGS)
    assert repr(route) in refusal.value.problem
    assert refusal.value.fix == "one of bytes, csv, http, iris, talk"


def test_postgres_connector_without_a_decoding_plugin_gets_the_built_in_one() -> None:
    given = ConnectorConfig("some", dict(POSTGRES))
    assert with_decoding_plugin(given) == ConnectorConfig("some", POSTGRES | {"plugin.name": "pgoutput"})
    assert given.config == POSTGRES


@pytest.mark.parametrize(
    "config",
    [
        POSTGRES | {"plugin.name": "decoderbufs"},
        {"connector.class": "io.debezium.connector.mysql.MySqlConnector"},
        {},
    ],
)
def test_other_connectors_are_left_alone(config: dict[str, str]) -> None:
    connector = ConnectorConfig("some", config)
    assert with_decoding_plugin(connector) == connector


@pytest.fixture
def closed_url() -> str:
    """An address that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_connect_that_is_away_is_named_after_the_patience(closed_url: str) -> None:
    with pytest.raises(LabError, match=f"Kafka Connect does not answer at {closed_url}: ConnectionError"):
        ConnectClient(closed_url, patience_s=0).names()


def test_proxy_of_the_environment_is_not_asked_for_the_own_machine(
    closed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.5)
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with pytest.raises(LabError, match="ConnectionError"):
            ConnectClient(closed_url, patience_s=0).names()
        with pytest.raises(TimeoutError):
            proxy.accept()


def test_a_name_that_settings_share_means_what_the_servers_took() -> None:
    wished = Settings(source_host="wished.example", source_port=1, admin_password="wished", postgres_port=2)
    config = load_config("talk", ENDPOINTS, wished).config
    assert (config["database.hostname"], config["database.port"]) == ("database.example", "5433")
    assert config["database.password"] == "owner-secret"
