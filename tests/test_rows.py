"""Training on a table as its topic tells it: each row as it is now, none that is gone, none without a label."""

import threading
import time

import numpy as np
import pytest

from labkit import Lab, LabError
from labkit.digits import load_digits
from labkit.settings import BYTES_PREFIX, TEST_TABLE, TRAIN_TABLE, table_topic
from labkit.stream import reading
from labkit.stream.rows import read_rows
from labkit.stream.topics import MissingTopicError

TOPIC = table_topic(BYTES_PREFIX, TEST_TABLE)


def test_rows_are_read_as_they_are_now(scoring_lab: Lab) -> None:
    lab = scoring_lab
    image = np.arange(784, dtype=np.uint8).reshape(28, 28)
    relabelled, deleted, unlabelled = lab.insert(image, 3), lab.insert(image, 4), lab.insert(image, None)
    lab.relabel(relabelled, 9)
    lab.delete(deleted)
    lab.settle()
    labels = lab.tables.labels(TEST_TABLE)
    found = read_rows(lab.kafka, TOPIC, len(labels))
    assert sorted(found.labels) == sorted(label for label in labels.values() if label is not None)
    ours = [label for pixels, label in found if (pixels == image).all()]
    assert ours.count(9) == 1 and not {3, 4} & set(ours)
    lab.delete(relabelled)
    lab.delete(unlabelled)


def test_reading_waits_for_rows_that_are_still_to_come(scoring_lab: Lab) -> None:
    lab = scoring_lab
    rows = lab.tables.count(TEST_TABLE)
    copying = threading.Timer(0.5, lab.tables.copy, [load_digits("bundled", "test").take(300), TEST_TABLE])
    copying.start()
    assert len(read_rows(lab.kafka, TOPIC, rows + 300)) == rows + 300
    copying.join()
    lab.settle()


def test_rows_that_never_come_end_the_reading(scoring_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PATIENCE_S", 1.0)
    rows = scoring_lab.tables.count(TRAIN_TABLE)
    topic, began = table_topic(BYTES_PREFIX, TRAIN_TABLE), time.monotonic()
    with pytest.raises(LabError, match=f"tells of {rows:,} of {rows + 1:,} rows, and no more come"):
        read_rows(scoring_lab.kafka, topic, rows + 1)
    assert time.monotonic() - began < 20
    with pytest.raises(MissingTopicError):
        read_rows(scoring_lab.kafka, "no-such-topic")


def test_a_network_trained_on_rows_knows_as_much_as_one_trained_on_the_talks_topic(scoring_lab: Lab) -> None:
    lab = scoring_lab
    by_rows, by_text = lab.train(route="bytes", seed=1, epochs=8), lab.train(seed=1, epochs=8)
    assert by_rows.digits == by_text.digits == lab.tables.count(TRAIN_TABLE)
    assert by_rows.accuracy > 0.9 and abs(by_rows.accuracy - by_text.accuracy) < 0.02
    with pytest.raises(LabError, match="nothing can be trained from route 'http'"):
        lab.train(route="http")
