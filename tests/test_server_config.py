"""Debezium Server's configuration is that of Kafka Connect, option by option."""

import stat
from pathlib import Path

import pytest

from labkit.capture.configs import ConnectorConfig, load_config
from labkit.capture.server_config import LEFT_OUT, as_text, kafka_properties, source_properties, write_properties
from labkit.errors import LabError
from labkit.settings import Endpoints, Settings

ENDPOINTS = Endpoints(
    postgres_port=5432,
    kafka_port=9092,
    connect_port=8083,
    source_port=5432,
    admin_password="owner",
    capture_password="reader",
)


def config(route: str) -> ConnectorConfig:
    """A route's configuration."""
    return load_config(route, ENDPOINTS, Settings())


@pytest.mark.parametrize("route", ["csv", "bytes", "talk"])
def test_every_option_arrives_with_its_value_or_is_left_out_for_a_reason(route: str) -> None:
    found = source_properties(config(route))
    for option, value in config(route).config.items():
        name = {
            "key.converter": "debezium.format.key.class",
            "value.converter": "debezium.format.value.class",
        }.get(option)
        if option in LEFT_OUT:
            assert not [known for known in found if known.endswith(f".{option}")]
        elif option == "transforms":
            assert found["debezium.transforms"].split(",")[:-1] == value.split(",")
        elif name is None and option.startswith("value.converter."):
            assert found[option.replace("value.converter", "debezium.format.value", 1)] == value
        elif name is None and option.startswith(("transforms.", "predicates")):
            assert found[f"debezium.{option}"] == value
        else:
            assert found[name or f"debezium.source.{option}"] == value
    assert [found[f"debezium.format.{part}"] for part in ("key", "value", "header")] == ["clientprovided"] * 3
    assert found["debezium.source.plugin.name"] == "pgoutput"


def test_empty_headers_are_dropped_behind_all_other_transforms() -> None:
    found = source_properties(config("bytes"))
    last = found["debezium.transforms"].split(",")[-1]
    assert found[f"debezium.transforms.{last}.type"] == "labkit.server.WithoutEmptyHeaders"


def test_the_position_is_kept_where_kafka_connect_keeps_it() -> None:
    found = kafka_properties(config("bytes"), "127.0.0.1:9092", 8180)
    assert found["debezium.source.offset.storage.connector"] == config("bytes").name
    assert found["debezium.source.offset.storage.topic"] == "connect-offsets"
    assert found["debezium.source.isolation.level"] == "read_committed"
    assert found["quarkus.http.host"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("slot.nam", "did you mean 'slot.name'"),
        ("errors.deadletterqueue.topic.name", "add it to labkit/capture/server_config.py"),
    ],
)
def test_an_option_nobody_has_thought_of_is_refused_by_name(option: str, words: str) -> None:
    known = config("bytes")
    with pytest.raises(LabError, match=option) as refused:
        source_properties(ConnectorConfig(known.name, known.config | {option: "1"}))
    assert words in str(refused.value)


def test_the_file_reads_back_what_was_written_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "csv" / "application.properties"
    assert write_properties(path, {"a": r"lab\.public\..*", "b": "ExtractField$Key"})
    assert path.read_text() == "a=lab\\\\.public\\\\..*\nb=ExtractField$Key\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not write_properties(path, {"a": r"lab\.public\..*", "b": "ExtractField$Key"})
    assert write_properties(path, {"a": "other"})


def test_no_option_of_the_files_is_lost_in_the_text() -> None:
    found = kafka_properties(config("csv"), "127.0.0.1:9092", 8180)
    lines = as_text(found).splitlines()
    assert [line.partition("=")[0] for line in lines] == sorted(found)
