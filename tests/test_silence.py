"""A scorer whose reader goes silent while change events wait finds out, and reads anew."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka import TopicPartition as Place
from kafka.structs import TopicPartition

from labkit import Lab
from labkit.digits import load_digits
from labkit.model import scorer
from labkit.model.checkpoint import CheckpointFile
from labkit.model.scorer import Scorer
from labkit.model.store import ModelStore
from labkit.stream import reading
from labkit.stream.librdkafka import SwiftReader


def test_a_scorer_whose_reader_goes_silent_reads_anew(scoring_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[SwiftReader] = []

    class FallsSilent(SwiftReader):
        """The first one hands out nothing, and says nothing of it."""

        def __init__(self, servers: str, positions: Mapping[TopicPartition, int], *options: Any) -> None:
            super().__init__(servers, positions, *options)
            if not made:
                self._consumer.pause([Place(place.topic, place.partition) for place in positions])
            made.append(self)

    lab, home = scoring_lab, scoring_lab.settings.home
    lab.stop_scorer()
    monkeypatch.setattr(scorer, "SwiftReader", FallsSilent)
    monkeypatch.setattr(reading, "PATIENCE_S", 1.0)
    stop = threading.Event()
    ours = Scorer(lab.kafka, ModelStore(home / "models"), CheckpointFile(home / "learner.checkpoint"))
    thread = threading.Thread(target=ours.run, args=(stop,))
    thread.start()
    try:
        digits = load_digits("bundled", "test")
        row_id = lab.insert(digits.images[0], int(digits.labels[0]))
        lab.wait_until(lambda: lab.ledger().lost == 0, f"row {row_id} is scored", timeout_s=60)
    finally:
        stop.set()
        thread.join(30)
        lab.start_scorer()
    assert len(made) == 2
    assert lab.ledger().balanced
