"""How the peers predict and record, so that only what they read with differs."""

import time
from collections.abc import Sequence

import numpy as np

from benchmarks.ways.child import Where
from benchmarks.ways.inserted import encoded_insert
from labkit.capture.event import ChangeEvent
from labkit.engines.envelope import EnvelopeChange
from labkit.engines.lite import make_predict
from labkit.model.prediction import recorded


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
            encoded_insert(
                change.row_id,
                change.label,
                answer,
                "v1",
                lsn=change.lsn,
                committed_ms=change.committed_ms,
                read_ms=now_ms,
                predicted_ms=now_ms,
            )
            for change, answer in zip(changes, answers, strict=True)
        ]
