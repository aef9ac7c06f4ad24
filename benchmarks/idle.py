"""What an idle lab takes of the processor with Debezium's own connector and with labkit's, side by side.

    .venv/bin/python -m benchmarks.idle --rounds 3

The two take turns in capturing the same tables of one lab, in which nothing changes. It prints as JSON, for each, the
median and the range of what Kafka and Kafka Connect take together, in per cent of a core; and the ratio of the medians.
"""

import json
import statistics
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from benchmarks.own_lab import own_lab, own_settings, to_terminal
from benchmarks.start import processor_s, summary
from labkit import Lab
from labkit.capture.configs import ConnectorConfig, load_config
from labkit.settings import CAPTURE_ROUTES

CONNECTORS: Mapping[str, str] = {
    "Debezium's": "io.debezium.connector.postgresql.PostgresConnector",
    "labkit's": "labkit.connect.CalmPostgresConnector",
}
SETTLE_S = 60.0
"""Java's strong compiler is busy with a new connector for as long."""


def capture_by(lab: Lab, connector_class: str) -> None:
    """Let connectors of this class capture the lab's tables from here on."""
    for route in CAPTURE_ROUTES:
        connector = load_config(route, lab.endpoints, lab.settings)
        config = connector.config | {"connector.class": connector_class}
        lab.connect.register(ConnectorConfig(connector.name, config))


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="how long each look takes")] = 30.0,
) -> None:
    """Run it."""
    settings = own_settings(capture="connect")
    found: dict[str, list[float]] = {name: [] for name in CONNECTORS}
    with own_lab("idle", settings) as lab:
        lab.load_digits(report=to_terminal)
        lab.capture()
        for turn in range(rounds):
            names = list(CONNECTORS)[:: 1 if turn % 2 == 0 else -1]
            for name in names:
                capture_by(lab, CONNECTORS[name])
                time.sleep(SETTLE_S)
                before, began = processor_s(lab), time.monotonic()
                time.sleep(seconds)
                found[name].append(100 * (processor_s(lab) - before) / (time.monotonic() - began))
                typer.echo(f"{name:10} {found[name][-1]:5.1f} % of a core", err=True)
    medians = [statistics.median(taken) for taken in found.values()]
    figures = {
        "rounds": rounds,
        "poll_interval_ms": settings.poll_interval_ms,
        "of a core, %": {name: summary(taken) for name, taken in found.items()},
        " / ".join(CONNECTORS): round(medians[0] / medians[1], 1),
    }
    typer.echo(json.dumps(figures, indent=2))


if __name__ == "__main__":
    typer.run(main)
