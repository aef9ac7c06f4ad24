"""Settings from their three sources, endpoints from the stack: what is wrong is said in one line."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from labkit.errors import LabError
from labkit.settings import Endpoints, Settings, endpoints_file, load_endpoints, load_settings, table_topic


@pytest.fixture(autouse=True)
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A labkit.toml of the test's own, no LABKIT_ variables, and settings read anew, before and after."""
    for name in os.environ:
        if name.startswith("LABKIT_"):
            monkeypatch.delenv(name)
    path = tmp_path / "labkit.toml"
    monkeypatch.setitem(Settings.model_config, "toml_file", path)
    load_settings.cache_clear()
    yield path
    load_settings.cache_clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def endpoints() -> Endpoints:
    return Endpoints(
        postgres_port=5433,
        kafka_port=9192,
        source_port=9193,
        connect_port=8183,
        admin_password="admin-secret",
        capture_password="capture-secret",
    )


def test_defaults_hold_where_nothing_is_set() -> None:
    found = load_settings()
    assert (found.postgres_port, found.kafka_port, found.connect_port) == (5432, 9092, 8083)
    assert found.home.is_absolute() and found.cache_dir.is_absolute()


def test_environment_overrides_file_and_file_overrides_default(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text("kafka_port = 19092\nconnect_port = 18083\n")
    monkeypatch.setenv("LABKIT_KAFKA_PORT", "29092")
    found = load_settings()
    assert found.kafka_port == 29092
    assert found.connect_port == 18083
    assert found.postgres_port == 5432


def test_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_KAFKA_PROT", "9092")
    with pytest.raises(LabError, match=r"LABKIT_KAFKA_PROT.*did you mean LABKIT_KAFKA_PORT\?"):
        load_settings()


def test_variable_near_to_nothing_is_refused_without_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_QQQQQQQQQQQQ", "1")
    with pytest.raises(LabError) as refusal:
        load_settings()
    assert refusal.value.fix == "unset LABKIT_QQQQQQQQQQQQ"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "ninety", ""])
def test_bad_port_is_refused_by_name_and_value(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_CONNECT_PORT", port)
    with pytest.raises(LabError) as refusal:
        load_settings()
    assert "connect_port" in refusal.value.problem and repr(port) in refusal.value.problem
    assert "LABKIT_CONNECT_PORT" in str(refusal.value.fix)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("kafka_prot = 1", "kafka_prot"),
        ("kafka_heap_mib = 1", "kafka_heap_mib"),
        ("capture_compiler_level = 2", "compiler_level"),
        ("kafka_port = ", "labkit.toml"),
    ],
)
def test_bad_file_is_refused_in_one_line(content: str, named: str, toml: Path) -> None:
    toml.write_text(content)
    with pytest.raises(LabError, match=named) as refusal:
        load_settings()
    assert "\n" not in str(refusal.value)


def test_relative_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_HOME", "somewhere")
    with pytest.raises(LabError, match=r"home.*full path.*somewhere"):
        load_settings()


def test_tilde_is_the_users_own_folder(toml: Path) -> None:
    toml.write_text('cache_dir = "~/jars"')
    assert load_settings().cache_dir == Path.home() / "jars"


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().kafka_port = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_topic_of_a_table_is_debeziums() -> None:
    assert table_topic("tf", "mnist_test") == "tf.public.mnist_test"


def test_endpoints_come_back_as_they_were_written(settings: Settings, endpoints: Endpoints) -> None:
    endpoints_file(settings).write_text(endpoints.model_dump_json())
    assert load_endpoints(settings) == endpoints


def test_endpoints_name_their_servers(endpoints: Endpoints) -> None:
    assert endpoints.kafka == "127.0.0.1:9192"
    assert endpoints.connect == "http://127.0.0.1:8183"
    parts = conninfo_to_dict(endpoints.postgres)
    assert parts["password"] == "admin-secret"
    assert (parts["host"], parts["port"], parts["dbname"], parts["user"]) == (
        "127.0.0.1",
        "5433",
        "postgres",
        "postgres",
    )


def test_endpoints_shown_in_a_notebook_keep_their_passwords(endpoints: Endpoints) -> None:
    for text in (repr(endpoints), str(endpoints)):
        assert "secret" not in text and "9192" in text


def test_without_a_lab_the_error_names_the_command(settings: Settings) -> None:
    with pytest.raises(LabError) as refusal:
        load_endpoints(settings)
    assert refusal.value.fix == "labkit up"


def test_damaged_endpoints_are_refused_in_one_line_without_passwords(settings: Settings, endpoints: Endpoints) -> None:
    whole = endpoints.model_dump_json()
    for content in (whole[:-3], whole.replace("9192", "99999"), whole.replace('"connect_port"', '"other"'), ""):
        endpoints_file(settings).write_text(content)
        with pytest.raises(LabError, match=r"endpoints\.json is damaged") as refusal:
            load_endpoints(settings)
        assert "secret" not in str(refusal.value) and "\n" not in str(refusal.value)


def test_endpoints_that_are_no_text_are_refused(settings: Settings) -> None:
    endpoints_file(settings).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match="cannot be read"):
        load_endpoints(settings)
