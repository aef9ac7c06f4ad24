"""What a screen shows of the live stream: plain values, made elsewhere, drawn by widgets."""

from dataclasses import dataclass, field

from labkit.capture.event import ChangeEvent, Operation
from labkit.model.latency import Latency
from labkit.model.prediction import Prediction


@dataclass(frozen=True, slots=True)
class ScoredEvent:
    """A change event and, once the scorer has recorded it, its prediction."""

    event: ChangeEvent
    prediction: Prediction | None
    seen_ms: float | None
    """When this process read the event, milliseconds since the Unix epoch; None for one that was there before, be it in
    Kafka or, for a row of a snapshot, in the table."""
    predicted_seen_ms: float | None = None
    """When it read the prediction; None for one that was recorded before this process began to read."""
    deleted: bool = False
    """Whether the row has been deleted since."""


@dataclass(frozen=True, slots=True)
class Score:
    """Running score by progressive validation: each labelled row counted once.

    Attributes:
        counted: Rows that have a label and a prediction.
        correct: Those of them where both agree.
        accuracy: correct / counted, or None before the first.
        recent_accuracy: Share of right answers in the last ``recent_counted`` events; None before the first.
        recent_counted: How many events that is, at most the length of the window. A relabelled row is one each time.
        confusion: 10 tuples of 10 counts; ``confusion[label][predicted]``.
        published: How many published models gave these answers; more than one after a new model was published.
        history: (predictions read so far, running accuracy) pairs for the plot, at most a few hundred.
    """

    counted: int = 0
    correct: int = 0
    accuracy: float | None = None
    recent_accuracy: float | None = None
    recent_counted: int = 0
    confusion: tuple[tuple[int, ...], ...] = tuple((0,) * 10 for _ in range(10))
    published: int = 0
    history: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class LiveState:
    """One consistent picture of the stream, for a screen.

    Attributes:
        events: The newest change events of each table and operation, a few dozen of each, newest first.
        latest: The newest event that has a prediction.
        score: Running score of the published model, frozen.
        continual: Running score of its copy that goes on learning.
        counts: How many change events were read, by table and operation.
        events_seen: Change events of the test table read since the start of the topic.
        predictions_seen: Predictions read since the start of the topic.
        latency: How long each hop took over the last minute; None where nothing came.
        problem: One line that says what is wrong and what to do, or an empty string.
    """

    events: tuple[ScoredEvent, ...] = ()
    latest: ScoredEvent | None = None
    score: Score = field(default_factory=Score)
    continual: Score = field(default_factory=Score)
    counts: tuple[tuple[tuple[str, Operation], int], ...] = ()
    events_seen: int = 0
    predictions_seen: int = 0
    latency: Latency | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CountedDigit:
    """A row that counts in a cell of the confusion matrix.

    Attributes:
        row_id: Its id in the test table.
        pixels: Its 784 bytes as they are there now.
    """

    row_id: int
    pixels: bytes


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as Kafka holds it: nothing decoded.

    Attributes:
        topic, partition, offset: Where it is.
        timestamp_ms: When it was written, milliseconds since the Unix epoch.
        key, value: Bytes; None where there are none. A record without a value is a tombstone.
        headers: Names and bytes.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
