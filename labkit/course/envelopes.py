"""A connector of a lesson's own that writes whole change events."""

from labkit.capture.configs import ConnectorConfig, load_config
from labkit.course.workbench import Workbench
from labkit.lab import Lab
from labkit.settings import TEST_TABLE, table_topic

ABOUT_RECORDS = ("transforms", "predicates", "key.converter", "value.converter")
"""How the options of the lab's own connector begin that say how a record looks."""
JSON = "org.apache.kafka.connect.json.JsonConverter"


def capture_envelopes(bench: Workbench, lab: Lab, table: str = TEST_TABLE) -> str:
    """Capture a table once more: each change event whole, Debezium's envelope as JSON, without the pixels.

    Args:
        bench: Names connector, slot and topic, and clears them away.
        lab: The running lab. Kafka Connect captures.
        table: One of the lab's tables.

    Returns:
        The topic. The connector runs, its snapshot may still be under way.

    Raises:
        LabError: The table cannot be captured, or Connect is away.
    """
    own = load_config("bytes", lab.endpoints, lab.settings).config
    config = {option: value for option, value in own.items() if not option.startswith(ABOUT_RECORDS)} | {
        "topic.prefix": bench.name("json"),
        "slot.name": bench.name("json"),
        "table.include.list": f"public.{table}",
        "column.exclude.list": f"public.{table}.pixels",
        "key.converter": JSON,
        "key.converter.schemas.enable": "false",
        "value.converter": JSON,
        "value.converter.schemas.enable": "false",
    }
    lab.connect.register(ConnectorConfig(bench.name("json"), config))
    return table_topic(bench.name("json"), table)
