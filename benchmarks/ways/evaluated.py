"""The ways that TensorFlow reads itself, as a dataset that a model is evaluated on: the talk's, and labkit's csv route.

Nothing records what is predicted there: a process of its own says after some batches how many rows it has seen.
"""

from typing import ClassVar

from benchmarks.ways.child import BATCH, Where
from benchmarks.ways.way import PATIENCE_S, Child, Way
from labkit import LabError
from labkit.settings import CSV_PREFIX, TEST_TABLE, table_topic

QUIET_S = 10.0
"""After so long a silence no more comes: tensorflow-io keeps back a batch that is not full, or drops it."""


class Evaluated(Way):
    """A topic of CSV that a process evaluates the network on.

    Attributes:
        route: The lab's route that fills the topic.
        how: How the process reads it.
    """

    route: ClassVar[str]
    how: ClassVar[str]

    def start(self) -> None:
        """Capture, and let the process wait for records."""
        self.lab.capture(self.route)
        where = Where(
            kafka=self.lab.kafka,
            models=self.lab.settings.home / "models",
            topic=table_topic(CSV_PREFIX, TEST_TABLE),
        )
        self._child = Child(f"benchmarks.ways.{self.how}", where, self.lab.settings.home / "logs" / f"{self.name}.log")
        self._rows = 0.0

    def begin(self) -> None:
        """Note how many rows it has seen."""
        self._began = self._rows

    def finish(self, rows: int, committed_s: float) -> tuple[int, float]:
        """Wait until it has seen as many, or falls silent. A last batch that is not full waits for more: it is done."""
        last_s = committed_s
        while self._rows - self._began <= rows - BATCH:
            said = self._child.hear(PATIENCE_S if last_s == committed_s else QUIET_S)
            if said is None:
                break
            self._rows, last_s = said["rows"], said["at"]
        seen = self._rows - self._began
        if not seen:
            raise LabError(f"{self.name}: not one of {rows} rows was evaluated")
        return (rows if seen > rows - BATCH else int(seen)), last_s - committed_s

    def stop(self) -> None:
        """End the process."""
        self._child.stop()

    @property
    def own_pids(self) -> dict[str, int]:
        """The process that evaluates."""
        return {"tensorflow": self._child.pid}


class Talk(Evaluated):
    """The talk's configuration and the talk's code."""

    name = "talk"
    title = "the talk's: Debezium's defaults, CSV, tensorflow-io decoding record by record, `evaluate`"
    route = "talk"
    how = "evaluate_talk"


class Csv(Evaluated):
    """labkit's csv route, read by tensorflow-io so that nothing is lost, decoded in batches."""

    name = "csv"
    title = "labkit's csv route: the same topic, tensorflow-io decoding batch by batch, `evaluate`"
    route = "csv"
    how = "evaluate_csv"
