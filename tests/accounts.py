"""What the ledger and the running score must be, worked out apart from the live view."""

import contextlib

from labkit import Lab, LabError
from labkit.ledger import Ledger
from labkit.model.live_state import Score
from labkit.model.prediction_records import decode_prediction, is_reset
from labkit.model.score import ProgressiveScore
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.reading import read_to_present_end


def balanced(lab: Lab) -> Ledger:
    """The ledger, once everything has arrived."""
    ledger = lab.ledger(wait_s=30)
    assert ledger.balanced, ledger
    return ledger


def score_since_reset(lab: Lab) -> Score:
    """The frozen model's running score since somebody last reset it; the ledger counts from the beginning."""
    records = list(read_to_present_end(lab.kafka, PREDICTIONS_TOPIC))
    since_reset = max((number + 1 for number, record in enumerate(records) if is_reset(record)), default=0)
    score = ProgressiveScore()
    for record in records[since_reset:]:
        with contextlib.suppress(LabError):  # Other tests leave foreign records.
            score.update(decode_prediction(record))
    return score.result()
