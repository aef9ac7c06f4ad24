"""How the peers predict and record, so that only what they read with differs."""

import time
from collections.abc import Sequence

import numpy as np

from benchmarks.ways.child import Where
from labkit.capture.event import ChangeEvent
from labkit.engines.envelope import EnvelopeChange
from labkit.engines.lite import make_predict
from labkit.model.prediction import Prediction, recorded
from labkit.model.prediction_records import encode_prediction
from labkit.settings import TEST_TABLE


class PeerScoring:
    """From changes to the records of their predictions.

    Args:
        where: Where the model is.
    """

    def __init__(self, where: Where) -> None:
        assert where.portable is not None
        self._predict = make_predict(where.portable.read_bytes())
        self._predict(np.array([bytes(784)], object))

    def encoded(self, changes: Sequence[ChangeEvent | EnvelopeChange]) -> list[tuple[bytes, bytes]]:
        """Key and value of the prediction of each insert."""
        now_ms = time.time() * 1000
        values = np.empty(len(changes), object)
        values[:] = [change.pixels for change in changes]
        answers = recorded(self._predict(values))
        return [
            (
                b"%d" % change.row_id,
                encode_prediction(
                    Prediction(
                        table=TEST_TABLE,
                        row_id=change.row_id,
                        operation="c",
                        label=change.label,
                        predicted=answer.index(max(answer)),
                        probabilities=answer,
                        model_version="v1",
                        lsn=change.lsn,
                        partition=0,
                        offset=change.row_id,
                        committed_ms=change.committed_ms,
                        captured_ms=now_ms,
                        recorded_ms=now_ms,
                        read_ms=now_ms,
                        predicted_ms=now_ms,
                    )
                ),
            )
            for change, answer in zip(changes, answers, strict=True)
        ]
