"""Lesson 11: each check refuses a plausible wrong answer in a helpful word, and accepts another right one."""

from collections.abc import Iterator

import numpy as np
import pytest

from labkit import Lab
from labkit.course import learning_online as check
from labkit.engines.catalog import ENGINES
from labkit.engines.environment import EngineEnvironment
from labkit.engines.iris_job import LIKE, learn_iris
from labkit.model.prediction_records import read_predictions
from labkit.online.iris import load_flowers, split
from labkit.online.kmeans import nearest
from labkit.online.records import Learned
from labkit.online.stream import IrisStream

PATIENCE_S = 240.0
PARTS = split(load_flowers(), 7)


@pytest.fixture(scope="module")
def stream(scoring_lab: Lab) -> Iterator[IrisStream]:
    """The iris tables beside the digits, with Spark learning."""
    lab = scoring_lab
    EngineEnvironment(ENGINES[LIKE["spark"]].packages, lab.settings).install(lambda _: None)
    stream = IrisStream(lab.endpoints, lab.settings)
    stream.clear()
    stream.setup()
    with learn_iris("spark", lab.kafka, lab.settings):
        yield stream
    stream.clear()


@pytest.fixture(scope="module")
def before(stream: IrisStream) -> Learned:
    """The centres after the lesson's first two phases."""
    stream.insert(PARTS.first)
    stream.insert(PARTS.rest)
    return stream.wait_learned(len(PARTS.first) + len(PARTS.rest), PATIENCE_S)


def test_clusters_are_matched_to_labels(scoring_lab: Lab, stream: IrisStream, before: Learned) -> None:
    lab, rows = scoring_lab, stream.insert(PARTS.test, "iris_test")
    told = stream.wait_predicted(rows, PATIENCE_S)
    by_number = sum(prediction.cluster == prediction.label for prediction in told)
    assert "takes a cluster's number for a label" in check.right_flowers(by_number, lab, rows).words
    assert "There is a better way" in check.right_flowers(6, lab, rows).words
    assert "right in no way" in check.right_flowers(11, lab, rows).words
    assert "whole number" in check.right_flowers("10 of 11", lab, rows).words
    assert check.right_flowers(np.int64(10), lab, rows).right
    assert "the wrong ones" in check.right_flowers(1, lab, rows[3:6]).words
    unknown = check.right_flowers(11, lab, [*rows, 10**6])
    assert unknown.kind == "unchecked" and "of 12 flowers 11 have a prediction" in unknown.words


def test_the_rule_by_hand_leads_to_sparks_own_centre(stream: IrisStream, before: Learned) -> None:
    points, cluster = PARTS.rest.features, 1
    old, weight = np.array(before.centres[cluster]), before.weights[cluster]
    mine = points[nearest(before.clusters, points) == cluster]
    wrong = {
        "old centre": old,
        "What was learned counts, too: as 59 flowers": mine.mean(axis=0),
        "halfway": (old + mine.mean(axis=0)) / 2,
        "Only those that are nearest": (weight * old + points.sum(axis=0)) / (weight + len(points)),
        "another place": (weight * old + mine.mean(axis=0)) / (weight + 1),
        "4 numbers": "7.1 3.1 6.0 2.1",
        "in centimetres": ["a", "b", "c", "d"],
        "4 finite numbers": [5.06, 3.29, 1.75],
        "4 finite": [5.06, 3.29, 1.75, float("nan")],
    }
    for words, answer in wrong.items():
        verdict = check.moved_centre(answer, before, points, cluster)
        assert verdict.kind == "wrong" and words in verdict.words
    stream.insert(PARTS.rest)
    learned = stream.wait_learned(before.rows + len(PARTS.rest), PATIENCE_S)
    assert check.moved_centre(learned.centres[cluster], before, points, cluster).right
    rounded = check.moved_centre(np.round(learned.centres[cluster], 3).tolist(), before, points, cluster)
    assert rounded.right and "stands for 59 flowers, 50 have come" in rounded.words


def test_a_cluster_without_new_flowers_stays_where_it_is(before: Learned) -> None:
    setosas = load_flowers().features[:3]
    assert check.moved_centre(before.centres[2], before, setosas, 2).right


def test_what_the_model_that_learns_gains_is_counted(scoring_lab: Lab) -> None:
    lab = scoring_lab
    sent = set(lab.sender.send(150, 100, how="hand", strength=0.75))
    lab.settle(timeout_s=120)
    told = [prediction for prediction in read_predictions(lab.kafka)[0] if prediction.row_id in sent]
    agree = [p for p in told if p.predicted == p.label == p.continual]
    gained = [p for p in told if p.predicted != p.label == p.continual]
    differ = [p for p in told if p.label != p.continual != p.predicted]
    some = [*agree[:8], *gained[:4], *differ[:2]]
    assert len(some) == 14, "the new hand is hard for one, and not for the other"
    rows = [p.row_id for p in some]
    frozen, learning = sum(p.predicted == p.label for p in some), 12
    for answer in (frozen, learning):
        assert "That is what one model had right" in check.more_right(answer, lab, rows).words
    assert "The other way round" in check.more_right(frozen - learning, lab, rows).words
    assert "There the two differ" in check.more_right(6, lab, rows).words
    assert "Compare .predicted and .continual" in check.more_right(100, lab, rows).words
    assert "whole number" in check.more_right(0.25, lab, rows).words
    assert check.more_right(np.int64(learning - frozen), lab, rows).right
    assert check.more_right(0, lab, [p.row_id for p in agree]).right
    late = check.more_right(1, lab, [*rows, 10**9])
    assert late.kind == "unchecked" and "not every digit has its prediction yet" in late.words
