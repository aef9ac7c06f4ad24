"""docker-compose.yml as compose itself understands it, without starting anything."""

import json
import re
import subprocess
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from labkit.settings import Endpoints, Settings
from labkit.stack import debezium_server, kafka, postgres
from labkit.stack.compose_environment import COMPOSE_FILE, SAMPLE, variables

PROFILES = ("server", "jupyter")
SECRET = "a-secret-of-the-test"


def sample() -> dict[str, str]:
    """The variables of the sample."""
    lines = [line for line in SAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def config(*arguments: str, profiles: tuple[str, ...] = PROFILES) -> dict[str, Any]:
    """The whole project as ``docker compose config`` prints it."""
    options = [part for profile in profiles for part in ("--profile", profile)]
    command = ["docker", "compose", "--env-file", str(SAMPLE), "-f", str(COMPOSE_FILE), *options, "config", *arguments]
    result = subprocess.run([*command, "--format", "json"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def project(docker_engine: None) -> Mapping[str, Any]:
    """The project with every profile."""
    return config()


@pytest.mark.parametrize("profiles", [(), ("server",), ("jupyter",), PROFILES])
def test_compose_takes_every_choice_of_profiles(docker_engine: None, profiles: tuple[str, ...]) -> None:
    names = set(config(profiles=profiles)["services"])
    wanted = {"postgres", "kafka", "connect"}
    wanted |= {"server-csv", "server-bytes"} if "server" in profiles else set()
    wanted |= {"jupyter"} if "jupyter" in profiles else set()
    assert names == wanted


def test_the_file_follows_the_compose_specification() -> None:
    # The specification's own schema, as check-jsonschema carries it.
    schema = json.loads((resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
    document = YAML(typ="safe").load(COMPOSE_FILE)
    jsonschema.validate(document, schema)
    document["services"]["kafka"]["memory_limit"] = "640m"
    with pytest.raises(jsonschema.ValidationError, match="memory_limit"):
        jsonschema.validate(document, schema)


def test_nothing_is_published_beyond_this_machine(project: Mapping[str, Any]) -> None:
    published = [port for service in project["services"].values() for port in service.get("ports", [])]
    assert len(published) >= 5
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    assert all("network_mode" not in service for service in project["services"].values())


def test_every_image_has_a_version(project: Mapping[str, Any]) -> None:
    named = [service["image"] for service in project["services"].values() if "image" in service]
    built = [service["build"] for service in project["services"].values() if "build" in service]
    inline = [line.split()[1] for build in built for line in build.get("dockerfile_inline", "").splitlines()[:1]]
    assert len(named) + len(built) == len(project["services"])
    for image in [*named, *inline]:
        assert re.search(r":\d+\.\d+(\.\d+)?[\w.-]*$", image), image


def test_every_service_is_limited_watched_unprivileged_and_comes_back(project: Mapping[str, Any]) -> None:
    for name, service in project["services"].items():
        assert int(service["mem_limit"]) <= 2600 * 2**20, name
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"]["max-size"], name
        for needed in service.get("depends_on", {}).values():
            assert needed["condition"] == "service_healthy", name


def test_volumes_have_names_so_that_none_is_left_behind(project: Mapping[str, Any]) -> None:
    kinds = {mount["type"] for service in project["services"].values() for mount in service.get("volumes", [])}
    assert kinds <= {"volume", "bind"}
    sources = [m.get("source") for service in project["services"].values() for m in service.get("volumes", [])]
    assert all(sources)


def test_the_file_holds_no_secret_and_refuses_to_go_without_one(docker_engine: None, tmp_path: Path) -> None:
    passwords = re.findall(r"PASSWORD: (\S+)", COMPOSE_FILE.read_text())
    assert passwords and all(password.startswith("${LABKIT_") for password in passwords)
    without = tmp_path / "docker.env"
    without.write_text("".join(f"{k}={v}\n" for k, v in sample().items() if k != "LABKIT_ADMIN_PASSWORD"))
    command = ["docker", "compose", "--env-file", str(without), "-f", str(COMPOSE_FILE), "config"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "LABKIT_ADMIN_PASSWORD" in result.stderr
    assert "docker.env.sample" in result.stderr


def test_the_sample_has_every_variable_and_no_other() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE_FILE.read_text()))
    assert set(sample()) == used


def test_labkit_writes_no_variable_that_the_file_does_not_use() -> None:
    endpoints = Endpoints(
        postgres_port=1, kafka_port=2, connect_port=3, source_port=4, admin_password=SECRET, capture_password="none"
    )
    written = variables(Settings(), endpoints, Path("/plugins"))
    assert set(written) <= set(sample())
    defaults = {name for name, value in sample().items() if str(written.get(name)) == value}
    # What the sample says of memory and log is what labkit writes where nobody asks for more.
    assert {name for name in written if name.endswith("MIB")} <= defaults
    level = Settings.model_fields["capture_compiler_level"].default
    assert sample()["LABKIT_CAPTURE_COMPILER_LEVEL"] == str(level)
    assert f"${{LABKIT_CAPTURE_COMPILER_LEVEL:-{level}}}" in COMPOSE_FILE.read_text()
    for chosen in (1, 4):
        told = variables(Settings(capture_compiler_level=chosen), endpoints, Path("/plugins"))
        assert told["LABKIT_CAPTURE_COMPILER_LEVEL"] == chosen


def test_what_captures_has_the_compiler_that_was_chosen_and_the_broker_the_quick_one() -> None:
    for chosen in (1, 4):
        settings, option = Settings(capture_compiler_level=chosen), f"-XX:TieredStopAtLevel={chosen}"
        commands = kafka.commands(settings, [])
        assert option in commands["connect"] and "-XX:TieredStopAtLevel=1" in commands["kafka"]
        servers = [program for program in debezium_server.programs(settings, []) if "java" in program.command[0]]
        assert len(servers) == 3 and all(option in program.command for program in servers)


def properties(template: str) -> dict[str, str]:
    """The fixed lines of a template of Kafka's configuration."""
    lines = [line for line in template.splitlines() if "=" in line and not line.startswith("#") and "{" not in line]
    return dict(line.split("=", 1) for line in lines)


def test_servers_are_tuned_as_the_embedded_ones(project: Mapping[str, Any]) -> None:
    def tuned(service: str, prefix: str) -> dict[str, str]:
        environment = project["services"][service]["environment"].items()
        return {name.removeprefix(prefix).lower().replace("_", "."): str(value) for name, value in environment}

    broker = properties(kafka.BROKER)
    assert {name: tuned("kafka", "KAFKA_").get(name) for name in broker} == broker
    # The image has JSON converters by itself, and calls the advertised host by another name.
    worker = {name: value for name, value in properties(kafka.CONNECT).items() if not name.endswith("converter")}
    # Into a container, requests come through Docker: whose they are cannot be told there.
    worker["rest.extension.classes"] = worker["rest.extension.classes"].removesuffix(",labkit.connect.OwnUserOnly")
    assert {name: tuned("connect", "CONNECT_").get(name) for name in worker} == worker
    command = [part.removeprefix("-c") for part in project["services"]["postgres"]["command"][1:]]
    written = postgres.CONFIGURATION.format(host="", port="", keep=512)
    embedded = dict(re.findall(r"^(\w+) = '?(.*?)'?$", written, re.MULTILINE))
    for name in ("listen_addresses", "port", "unix_socket_directories"):
        del embedded[name]
    assert dict(part.split("=", 1) for part in command) == embedded
