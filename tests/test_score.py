"""The running score against one computed from scratch, over random histories of a table."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from labkit.capture.event import Operation
from labkit.model.prediction import Prediction
from labkit.model.score import HISTORY_POINTS, ProgressiveScore, class_scores, recompute

Labels = dict[int, int | None]


def predict(row_id: int, label: int | None, predicted: int | None, operation: Operation = "c") -> Prediction:
    """A prediction as the scorer records it; only what the score looks at matters."""
    return Prediction(
        table="mnist_test",
        row_id=row_id,
        operation=operation,
        label=label,
        predicted=predicted,
        probabilities=(),
        model_version="v1",
        lsn=0,
        partition=0,
        offset=0,
        committed_ms=0,
        captured_ms=0,
        recorded_ms=0,
        read_ms=0,
        predicted_ms=0,
    )


def histories(chance: random.Random, steps: int) -> Iterator[tuple[Prediction, Labels]]:
    """Random inserts, relabels, un-labels and deletes, each with the table's labels after it."""
    labels: Labels = {}
    for step in range(steps):
        action = chance.choice(["insert", "insert", "relabel", "relabel", "delete"]) if labels else "insert"
        predicted = chance.randrange(10)
        label = chance.choice([None, predicted, chance.randrange(10)])
        if action == "insert":
            labels[step] = label
            yield predict(step, label, predicted), labels
            continue
        row_id = chance.choice(list(labels))
        if action == "relabel":
            labels[row_id] = label
            yield predict(row_id, label, predicted, "u"), labels
        else:
            del labels[row_id]
            yield predict(row_id, None, None, "d"), labels


@pytest.mark.parametrize("seed", range(20))
def test_running_score_equals_the_recomputed_one_at_every_step(seed: int) -> None:
    score = ProgressiveScore()
    predictions: list[Prediction] = []
    for prediction, labels in histories(random.Random(seed), 300):
        predictions.append(prediction)
        score.update(prediction)
        assert (score.counted, score.correct) == recompute(labels, predictions)
        result = score.result()
        cells = [count for row in result.confusion for count in row]
        assert min(cells) >= 0
        assert sum(cells) == result.counted
        assert sum(result.confusion[digit][digit] for digit in range(10)) == result.correct
        assert result.accuracy == (result.correct / result.counted if result.counted else None)


def test_nothing_counted_is_no_accuracy() -> None:
    result = ProgressiveScore().result()
    assert (result.counted, result.accuracy, result.recent_accuracy, result.history) == (0, None, None, ())


def test_late_label_counts_from_when_it_comes() -> None:
    score = ProgressiveScore()
    score.update(predict(1, None, 4))
    assert (score.counted, score.result().accuracy) == (0, None)
    score.update(predict(1, 4, 4, "u"))
    assert (score.counted, score.correct) == (1, 1)


def test_relabelled_row_is_counted_once_with_its_new_label() -> None:
    score = ProgressiveScore()
    score.update(predict(1, 4, 4))
    score.update(predict(1, 9, 4, "u"))
    assert (score.counted, score.correct) == (1, 0)
    assert score.result().confusion[9][4] == 1 and score.result().confusion[4][4] == 0


def test_label_taken_away_leaves_the_score() -> None:
    score = ProgressiveScore()
    score.update(predict(1, 4, 4))
    score.update(predict(1, None, 4, "u"))
    assert (score.counted, score.correct) == (0, 0)


def test_delete_of_a_row_never_seen_changes_nothing() -> None:
    score = ProgressiveScore()
    score.update(predict(1, 4, 4))
    before = score.result()
    score.update(predict(2, None, None, "d"))
    after = score.result()
    assert (after.counted, after.correct, after.confusion) == (before.counted, before.correct, before.confusion)


def test_row_predicted_again_is_counted_once() -> None:
    score = ProgressiveScore()
    for predicted in (3, 4, 4):
        score.update(predict(1, 4, predicted))
    assert (score.counted, score.correct) == (1, 1)


def test_rows_of_two_tables_with_one_id_are_two_rows() -> None:
    score = ProgressiveScore()
    score.update(predict(1, 4, 4))
    score.update(replace(predict(1, 5, 4), table="mnist_train"))
    assert (score.counted, score.correct) == (2, 1)


def test_recent_accuracy_forgets_what_is_older_than_its_window() -> None:
    score = ProgressiveScore(recent_window=10)
    for row_id in range(100):
        score.update(predict(row_id, 1, 1 if row_id < 95 else 2))
    result = score.result()
    assert result.recent_counted == 10
    assert result.recent_accuracy == 0.5
    assert result.accuracy == 0.95


def test_a_row_relabelled_often_is_many_events_and_one_row() -> None:
    score = ProgressiveScore()
    score.update(predict(1, 4, 4))
    for label in (5, 6, 7, 4):
        score.update(predict(1, label, 4, "u"))
    result = score.result()
    assert (result.counted, result.recent_counted, result.recent_accuracy) == (1, 5, 0.4)


def test_a_reset_does_not_forget_what_was_said_before_a_row_was_learned() -> None:
    score = ProgressiveScore("continual")
    score.update(replace(predict(1, 5, 0), continual=3))  # Wrong; it learns the row next.
    score.reset()
    assert (score.counted, score.result().history) == (0, ())
    score.update(replace(predict(1, 5, 0, "u"), continual=5))
    assert (score.counted, score.correct) == (1, 0), "what it says after learning the row is no fair test"


def test_rows_of_a_cell_are_those_that_count_in_it_now_highest_first() -> None:
    score = ProgressiveScore()
    for row_id in (1, 5000, 7, 9999, 4096):
        score.update(predict(row_id, 4, 9))
    score.update(predict(5000, 9, 9, "u"))
    assert score.rows(4, 9, 3) == [9999, 4096, 7]
    assert score.rows(4, 9, 12) == [9999, 4096, 7, 1]
    assert score.rows(9, 9, 12) == [5000] and score.rows(0, 0, 12) == []


def test_published_models_are_counted_until_a_reset() -> None:
    score = ProgressiveScore()
    score.update(predict(1, 3, 3))
    score.update(replace(predict(2, None, 4), model_version="v2"))
    assert score.result().published == 1, "an answer without a label is not in the figure"
    score.update(replace(predict(2, 4, 4, "u"), model_version="v2"))
    assert score.result().published == 2
    score.reset()
    assert score.result().published == 0


def test_unlabelled_rows_do_not_move_the_recent_window() -> None:
    score = ProgressiveScore(recent_window=2)
    score.update(predict(1, 1, 2))
    for row_id in range(2, 12):
        score.update(predict(row_id, None, 2))
    assert score.result().recent_accuracy == 0.0


def test_history_is_bounded_in_order_and_ends_at_the_present() -> None:
    score = ProgressiveScore()
    total = 20 * HISTORY_POINTS
    for row_id in range(total):
        score.update(predict(row_id, 1, 1 if row_id % 4 else 2))
        assert len(score.result().history) <= HISTORY_POINTS
    history = score.result().history
    seen = [point[0] for point in history]
    assert seen == sorted(set(seen))
    assert len(history) >= HISTORY_POINTS // 4
    steps = {later - earlier for earlier, later in itertools.pairwise(seen[:-1])}
    assert len(steps) == 1 and seen[-1] - seen[-2] <= max(steps)
    assert seen[-1] == total
    assert history[-1][1] == pytest.approx(0.75, abs=0.01)


def test_recompute_leaves_out_rows_without_label_or_prediction() -> None:
    predictions = [predict(1, None, 4), predict(2, 5, 5), predict(3, 6, 6), predict(2, 5, 8, "u")]
    labels = {1: 4, 2: 5, 3: None, 4: 0}
    assert recompute(labels, predictions) == (2, 1)


def test_the_continual_model_keeps_the_answer_from_before_it_learned_the_row() -> None:
    score = ProgressiveScore("continual")
    unlabelled = replace(predict(1, None, 0), continual=3)
    score.update(unlabelled)
    assert score.counted == 0
    score.update(replace(unlabelled, label=5, continual=4, operation="u"))  # The label comes: 4 was said before it.
    assert (score.counted, score.correct) == (1, 0)
    score.update(replace(unlabelled, label=5, continual=5, operation="u"))  # It has learned the row by now.
    assert (score.counted, score.correct) == (1, 0)
    score.update(replace(unlabelled, label=4, continual=5, operation="u"))  # The label was wrong: 4 is right.
    assert (score.counted, score.correct) == (1, 1)
    score.update(predict(1, None, None, "d"))
    assert (score.counted, score.correct) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_class_scores_are_scikit_learns(seed: int) -> None:
    confusion = np.random.default_rng(seed).integers(0, 4, (10, 10))
    confusion[3] = confusion[:, 7] = 0  # A digit that never came, and one that was never said.
    labels, predicted = np.indices((10, 10)).reshape(2, -1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, sample_weight=confusion.ravel(), labels=range(10), zero_division=0.0
    )
    for score in class_scores(confusion.tolist()):
        assert (score.precision or 0, score.recall or 0, score.f1 or 0) == pytest.approx(
            (precision[score.label], recall[score.label], f1[score.label])
        )
        assert score.support == support[score.label]
    assert class_scores(confusion.tolist())[3].recall is None
    assert class_scores(confusion.tolist())[7].precision is None
