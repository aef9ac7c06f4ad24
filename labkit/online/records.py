"""What a job that learns iris writes to Kafka: its centres after each transaction, and its predictions."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from labkit.errors import LabError
from labkit.online.kmeans import Clusters, make_clusters
from labkit.stream.reading import read_to_present_end

Form = TypeVar("Form")
PREDICTIONS_TOPIC = "iris-predictions"
CENTRES_TOPIC = "iris-centres"


@dataclass(frozen=True, slots=True)
class Learned:
    """Centres, and up to where they were learned: in one record, so that the two cannot part.

    Attributes:
        version: How many mini-batches were learned.
        rows: How many training rows.
        centres: k rows of 4 coordinates, centimetres.
        weights: k weights.
        positions: By topic, the offset of the first record that is not yet learned or predicted.
        transaction: The last one that was; empty at the start.
    """

    version: int
    rows: int
    centres: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    positions: Mapping[str, int]
    transaction: str = ""

    @property
    def clusters(self) -> Clusters:
        """The centres as a value that learns."""
        return make_clusters(self.centres, self.weights)


@dataclass(frozen=True, slots=True)
class IrisPrediction:
    """The cluster of a test row.

    Attributes:
        row_id: Primary key in ``iris_test``.
        label: The row's label, which nothing was learned from; None where it has none.
        cluster: The nearest centre's number.
        version: Of the centres: how many mini-batches were learned.
        rows: How many training rows they had seen.
        transaction: In which the row was inserted.
        offset: Of its record in the table's topic.
    """

    row_id: int
    label: int | None
    cluster: int
    version: int
    rows: int
    transaction: str
    offset: int


LEARNED = TypeAdapter(Learned)
PREDICTION = TypeAdapter(IrisPrediction)


def read_learned(servers: str) -> list[Learned]:
    """The centres after each transaction, oldest first.

    Raises:
        LabError: The topic is missing or holds something else, or the broker is away.
    """
    return _read(servers, CENTRES_TOPIC, LEARNED)


def read_iris_predictions(servers: str) -> list[IrisPrediction]:
    """All predictions there are now, in the order of their records.

    Raises:
        LabError: The topic is missing or holds something else, or the broker is away.
    """
    return _read(servers, PREDICTIONS_TOPIC, PREDICTION)


def _read(servers: str, topic: str, form: TypeAdapter[Form]) -> list[Form]:
    found: list[Form] = []
    for record in read_to_present_end(servers, topic):
        try:
            found.append(form.validate_json(record.value or b""))
        except ValidationError as error:
            raise LabError(
                f"record {topic}@{record.offset} was not written by a job that learns iris",
                "clear the iris tables and topics away, and begin anew",
            ) from error
    return found
