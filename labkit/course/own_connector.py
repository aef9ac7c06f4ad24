"""A connector of a lesson's own, on tables of the lesson's own, with Debezium's whole change event as JSON."""

from labkit.capture.configs import ConnectorConfig, load_config
from labkit.course.workbench import Workbench
from labkit.lab import Lab


def own_connector(lab: Lab, bench: Workbench, table: str, **options: str) -> ConnectorConfig:
    """The talk's connector on another table, without transforms: names by the workbench, values as JSON.

    Args:
        lab: The running lab.
        bench: Names the connector, its slot, its publication and its topics.
        table: The table to capture, in the schema ``public``.
        options: Further options of Debezium, such as ``snapshot__mode="no_data"``; two underscores stand for a dot.
    """
    config = load_config("talk", lab.endpoints, lab.settings).config
    own = {name: value for name, value in config.items() if not name.startswith("transforms")}
    own |= {
        "topic.prefix": bench.name(),
        "table.include.list": f"public.{table}",
        "plugin.name": "pgoutput",
        "slot.name": bench.name("slot"),
        "publication.name": bench.name("publication"),
        "publication.autocreate.mode": "filtered",
        "poll.interval.ms": str(lab.settings.poll_interval_ms),
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "false",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    }
    own |= {name.replace("__", "."): value for name, value in options.items()}
    return ConnectorConfig(bench.name("connector"), own)
