"""Connector configurations: data files in connectors/, with the servers' addresses filled in."""

import json
from dataclasses import dataclass
from pathlib import Path
from string import Template

from labkit.errors import LabError
from labkit.settings import Endpoints, Settings

FOLDER = Path(__file__).with_name("connectors")


@dataclass(frozen=True, slots=True)
class ConnectorConfig:
    """A connector's name and its configuration, as Kafka Connect's REST interface takes them."""

    name: str
    config: dict[str, str]

    @property
    def slot(self) -> str:
        """The replication slot it reads; Debezium's default name where none is set."""
        return self.config.get("slot.name", "debezium")


def load_config(route: str, endpoints: Endpoints, settings: Settings) -> ConnectorConfig:
    """Read a route's configuration and fill in where the servers are.

    Args:
        route: ``csv`` or ``bytes``, the lab's own; or ``talk``, exactly as the talk printed it.
        endpoints: Where the servers answer.
        settings: The lab's tunables.

    Raises:
        LabError: There is no such route.
    """
    path = FOLDER / f"{route}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.json")))
        raise LabError(f"there is no route {route!r}", f"one of {known}")
    # Where a name is in both, what the running servers really took counts, not what was wished.
    values = settings.model_dump() | endpoints.model_dump()
    document = json.loads(Template(path.read_text()).substitute(values))
    return ConnectorConfig(document["name"], document["config"])
