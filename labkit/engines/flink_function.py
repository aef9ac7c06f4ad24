"""What Flink's Python workers run: from a change to what the model says of it."""

# Flink's packages are in their own environment, not in the one that is checked.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

import datetime
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyflink.table.udf import TableFunction

from labkit.engines.envelope import decode_envelope
from labkit.engines.flink_model import CurrentModel
from labkit.model.prediction import Prediction
from labkit.model.prediction_records import encode_prediction
from labkit.stream.events import NotADigitError, decode_events
from labkit.stream.record import Record

log = logging.getLogger(__name__)


class Score(TableFunction):
    """From a record of a change event to the record of its prediction; from what is no digit to nothing.

    Args:
        models: Folder of the portable models, see `labkit.engines.export`.
    """

    def __init__(self, models: Path) -> None:
        self._models = models
        self._model: CurrentModel | None = None

    def open(self, function_context: Any) -> None:
        """Called in the worker: the model cannot travel, but its folder's name can."""
        self._model = CurrentModel(self._models)

    def eval(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: datetime.datetime,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes | None],
    ) -> Iterator[bytes]:
        """Predict one record."""
        read_ms = time.time() * 1000
        record = Record(topic, partition, offset, timestamp.timestamp() * 1000, key, value, list(headers.items()))
        assert self._model is not None
        for event in decode_events([record]):
            probabilities = () if event.pixels is None else self._model.predict(event.pixels)
            predicted_ms = time.time() * 1000
            yield encode_prediction(Prediction.of(event, probabilities, self._model.version, read_ms, predicted_ms))


class ScoreEnvelope(TableFunction):
    """From Debezium's envelope of a change to the columns of its prediction; from what is no digit to nothing.

    Args:
        models: Folder of the portable models, see `labkit.engines.export`.
    """

    def __init__(self, models: Path) -> None:
        self._models = models
        self._model: CurrentModel | None = None

    def open(self, function_context: Any) -> None:
        """Called in the worker, as of `Score.open`."""
        self._model = CurrentModel(self._models)

    def eval(self, change: str) -> Iterator[tuple[int, int, str, int | None, int | None, str, datetime.datetime]]:
        """Predict one change."""
        assert self._model is not None
        try:
            event = decode_envelope(change)
        except NotADigitError as error:
            log.warning("%s", error)
            return
        probabilities = () if event.pixels is None else self._model.predict(event.pixels)
        yield (
            event.row_id,
            event.lsn,
            event.operation,
            event.label,
            probabilities.index(max(probabilities)) if probabilities else None,
            self._model.version,
            datetime.datetime.fromtimestamp(event.committed_ms / 1000, datetime.UTC).replace(tzinfo=None),
        )
