"""Where what scores records its predictions, Kafka's topic or PostgreSQL's table, read in the same way."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass

import psycopg

from labkit import Lab, LabError
from labkit.course.engine_figures import readable_after_ms
from labkit.engines.catalog import LOCAL, find_engine
from labkit.model.prediction_records import recorded_predictions
from labkit.settings import PREDICTIONS_TOPIC, SCORER, TEST_TABLE
from labkit.stream.reading import open_reader
from labkit.stream.topics import offset_range

PATIENCE_S = 600.0
IN_TABLE = """
SELECT row_id, predicted, 1000 * extract(epoch FROM committed_at)::float8,
    1000 * extract(epoch FROM predicted_at)::float8
FROM predictions
"""
FIRST_LATER = """
SELECT extract(epoch FROM min(predicted_at))::float8 FROM predictions WHERE predicted_at > to_timestamp(%s)
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was said of one change, and when.

    Attributes:
        row_id: The row's.
        predicted: The most probable digit; None for a delete.
        committed_ms: When PostgreSQL committed the change, milliseconds since the Unix epoch.
        recorded_ms: When its prediction was written.
    """

    row_id: int
    predicted: int | None
    committed_ms: float
    recorded_ms: float


class Account(ABC):
    """The predictions of a lab's test rows.

    Args:
        lab: A running lab.
        service: What supervisor keeps running that scores.
    """

    def __init__(self, lab: Lab, service: str) -> None:
        self.lab = lab
        self._service = service

    @property
    def pid(self) -> int:
        """The process that supervisor keeps.

        Raises:
            LabError: Nothing scores.
        """
        pids = [status.pid for status in self.lab.stack.status() if status.name == self._service]
        if not pids or pids[0] is None:
            raise LabError("nothing scores", "labkit status")
        return pids[0]

    def wait_complete(self) -> None:
        """Wait until every change has its prediction.

        Raises:
            LabError: Not in `PATIENCE_S`.
        """
        self.lab.wait_until(lambda: self.complete, "every change is scored", PATIENCE_S)

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether every change has its prediction."""

    @property
    @abstractmethod
    def balanced(self) -> bool:
        """Whether every change has its prediction, and none two."""

    @abstractmethod
    def all(self) -> list[Recorded]:
        """All predictions there are now."""

    @abstractmethod
    def latencies_ms(self, count: int, rate: float) -> list[float]:
        """Send digits, and tell how long after its commit the prediction of each could be read.

        Args:
            count: How many digits.
            rate: Digits a second.

        Returns:
            Milliseconds, in ascending order.
        """

    @abstractmethod
    def first_later(self, moment_s: float) -> float:
        """Wait for a prediction that is recorded later than this; the time of the first one found.

        Args:
            moment_s: Seconds since the Unix epoch.

        Raises:
            LabError: None comes in `PATIENCE_S`.
        """


class KafkaAccount(Account):
    """Predictions in Kafka's topic, balanced by the lab's ledger."""

    @property
    def complete(self) -> bool:
        """Whether every change has its prediction."""
        return self.lab.ledger().lost == 0

    @property
    def balanced(self) -> bool:
        """Whether every change has its prediction, and none two."""
        return self.lab.ledger().balanced

    def all(self) -> list[Recorded]:
        """All predictions there are now, in the order of their records."""
        return [
            Recorded(prediction.row_id, prediction.predicted, prediction.committed_ms, float(record.timestamp))
            for prediction, record in recorded_predictions(self.lab.kafka)
        ]

    def latencies_ms(self, count: int, rate: float) -> list[float]:
        """Send digits, and tell how long after its commit a reader of committed records had each prediction."""
        return sorted(readable_after_ms(self.lab, count, rate))

    def first_later(self, moment_s: float) -> float:
        """Wait for a prediction that is recorded later than this; the time of the first one found."""
        ends = {partition: end for partition, (_, end) in offset_range(self.lab.kafka, PREDICTIONS_TOPIC).items()}
        deadline = time.time() + PATIENCE_S
        reader = open_reader(self.lab.kafka, ends)
        try:
            while time.time() < deadline:
                for records in reader.poll(timeout_ms=200).values():
                    for record in records:
                        if record.timestamp / 1000 > moment_s:
                            return record.timestamp / 1000
        finally:
            reader.close()
        raise nobody_scores()


class TableAccount(Account):
    """Predictions in PostgreSQL's table, where nothing but inserts was sent: a prediction for each row."""

    @property
    def complete(self) -> bool:
        """Whether every row has its prediction."""
        return not self.lab.tables.labels(TEST_TABLE).keys() - self._times.keys()

    @property
    def balanced(self) -> bool:
        """Whether every row has its prediction, and none two."""
        return self._times == Counter(self.lab.tables.labels(TEST_TABLE).keys())

    def all(self) -> list[Recorded]:
        """All predictions there are now."""
        with psycopg.connect(self.lab.endpoints.postgres) as connection:
            return [Recorded(*row) for row in connection.execute(IN_TABLE)]

    def latencies_ms(self, count: int, rate: float) -> list[float]:
        """Send digits, and tell how long after its commit each prediction was written, which commits it, too."""
        ids = set(self.lab.sender.send(count, rate))
        self.wait_complete()
        return sorted(one.recorded_ms - one.committed_ms for one in self.all() if one.row_id in ids)

    def first_later(self, moment_s: float) -> float:
        """Wait for a prediction that is recorded later than this; the time of the first one found."""
        deadline = time.time() + PATIENCE_S
        with psycopg.connect(self.lab.endpoints.postgres, autocommit=True) as connection:
            while time.time() < deadline:
                row = connection.execute(FIRST_LATER, [moment_s]).fetchone()
                if row is not None and row[0] is not None:
                    return row[0]
                time.sleep(0.2)
        raise nobody_scores()

    @property
    def _times(self) -> Counter[int]:
        return Counter(recorded.row_id for recorded in self.all())


def nobody_scores() -> LabError:
    """What is told when no prediction comes."""
    return LabError(f"nobody has scored for {PATIENCE_S:.0f} s", "labkit status")


def account_of(lab: Lab, scores: str) -> Account:
    """Where what scores records.

    Args:
        lab: A running lab.
        scores: ``local``, or the engine's name.
    """
    service = SCORER if scores == LOCAL else find_engine(scores).service
    return KafkaAccount(lab, service) if service == SCORER else TableAccount(lab, service)
