"""The doctor on this very machine, and on settings that must fail."""

import socket
from pathlib import Path

import pytest

from labkit.doctor import Finding, examine
from labkit.settings import Endpoints, Settings, endpoints_file


@pytest.fixture(scope="module")
def bad_findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    """An examination where disk, cache, one port and Docker are not as they should be."""
    folder = tmp_path_factory.mktemp("doctor")
    (folder / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder))
        settings = Settings(
            home=folder / "not" / "made" / "yet",
            cache_dir=folder / "file" / "below",
            min_free_disk_mib=10**9,
            kafka_port=server.getsockname()[1],
        )
        findings = examine(settings, docker=True)
    by_name = {finding.what: finding for finding in findings}
    assert len(by_name) == len(findings)
    return by_name | {"Kafka's port": by_name[f"port {settings.kafka_port}"]}


@pytest.mark.parametrize("what", ["Python", "Java", "tensorflow-io"])
def test_environment_of_the_project_is_as_it_should_be(what: str, bad_findings: dict[str, Finding]) -> None:
    assert bad_findings[what].level == "ok", bad_findings[what]
    assert bad_findings[what].found


def test_java_is_named_with_its_version(bad_findings: dict[str, Finding]) -> None:
    assert 'version "21.' in bad_findings["Java"].found


@pytest.mark.parametrize(
    ("what", "level", "found", "fix"),
    [
        ("disk", "error", "of 1,000,000,000 wanted", "LABKIT_HOME"),
        ("jars", "error", "cannot be written", "LABKIT_CACHE_DIR"),
        ("Kafka's port", "warning", "Kafka will use the next free one", "nothing"),
        ("Docker", "error", "no Docker here", "install Docker"),
    ],
)
def test_what_is_wrong_is_found_and_its_remedy_named(
    what: str, level: str, found: str, fix: str, bad_findings: dict[str, Finding]
) -> None:
    finding = bad_findings[what]
    assert finding.level == level
    assert found in finding.found and fix in finding.fix


def test_whatever_is_not_well_has_a_remedy(bad_findings: dict[str, Finding]) -> None:
    assert all((finding.level == "ok") != bool(finding.fix) for finding in bad_findings.values())


def test_empty_cache_is_a_warning_with_its_size_and_ports_of_a_running_lab_are_no_matter(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, cache_dir=tmp_path / "cache", min_free_disk_mib=0)
    endpoints = Endpoints(
        postgres_port=1,
        kafka_port=2,
        source_port=3,
        connect_port=4,
        admin_password="none",
        capture_password="none",
    )
    endpoints_file(settings).write_text(endpoints.model_dump_json())
    findings = {finding.what: finding for finding in examine(settings)}
    assert findings["jars"].level == "warning" and " MB" in findings["jars"].found
    assert findings["disk"].level == "ok"
    assert findings["ports"].level == "ok" and not [what for what in findings if what.startswith("port ")]
    assert "Docker" not in findings
