"""Topics of four partitions: each row keeps its order, also where the scorer is killed; what needs one is refused."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import pytest

from labkit import Lab, LabError
from labkit.digits import load_digits
from labkit.engines.catalog import ENGINES, LOCAL
from labkit.model.network import build_network
from labkit.model.prediction_records import read_predictions
from labkit.settings import SCORER, TRAIN_TABLE, Settings
from tests.conftest import HOME

pytestmark = pytest.mark.beside

PARTITIONS, PATIENCE_S = 4, 180.0


@pytest.fixture
def wide_lab() -> Iterator[Lab]:
    """A lab that scores, on topics of four partitions."""
    lab = Lab(Settings(home=HOME.with_name(f"{HOME.name}-wide"), partitions=PARTITIONS))
    lab.down(report=lambda _: None)
    lab.up()
    try:
        lab.capture("bytes")
        lab.publish(build_network(seed=1))
        yield lab
    finally:
        print(lab.stack.log(SCORER, 50))
        lab.down(report=lambda _: None)


@pytest.mark.parametrize(
    "engine",
    [
        LOCAL,
        pytest.param("spark", marks=pytest.mark.on_demand),
        pytest.param("flink-kafka", marks=pytest.mark.on_demand),
    ],
)
def test_each_row_keeps_its_order_through_relabels_and_deletes(wide_lab: Lab, engine: str) -> None:
    lab = wide_lab
    if engine != LOCAL:
        lab.install_engine(ENGINES[engine].packages.name)
        lab.score_by(engine)
    rows = lab.sender.send(40, 100)
    lab.wait_until(lambda: lab.ledger().lost == 0, "the scorer has begun", PATIENCE_S)
    (scorer,) = [status.pid for status in lab.stack.status() if status.name == SCORER]
    assert scorer is not None
    lab.sender.start(50)
    for label in range(3):
        if label == 1:
            os.kill(scorer, signal.SIGKILL)
        for row_id in rows[:20]:
            lab.relabel(row_id, label)
    for row_id in rows[:10]:
        lab.delete(row_id)
    lab.sender.stop()
    lab.wait_until(lambda: lab.ledger().lost == 0, "every change is scored", PATIENCE_S)
    assert lab.ledger().balanced

    changes, places = defaultdict(list), defaultdict(set)
    for prediction in read_predictions(lab.kafka)[0]:
        changes[prediction.row_id].append((prediction.lsn, prediction.operation, prediction.label))
        places[prediction.row_id].add(prediction.partition)
    for row_id, told in changes.items():
        assert all(first[0] < then[0] for first, then in pairwise(told)), f"row {row_id}: {told}"
    for row_id in rows[:20]:
        expected = [("u", 0), ("u", 1), ("u", 2)] + ([("d", None)] if row_id in rows[:10] else [])
        assert [(operation, label) for _, operation, label in changes[row_id][1:]] == expected
    assert all(len(partitions) == 1 for partitions in places.values()), "a row stays in its partition"
    assert set.union(*places.values()) == set(range(PARTITIONS))
    with pytest.raises(LabError, match="scores can begin anew only where the predictions have one partition"):
        lab.reset_scores()


def test_training_sees_what_was_changed_right_before(wide_lab: Lab) -> None:
    image = load_digits("bundled", "train").images[0]
    rows = [wide_lab.tables.insert(image, 3, TRAIN_TABLE) for _ in range(40)]
    for row_id in rows[:20]:
        wide_lab.tables.relabel(row_id, None, TRAIN_TABLE)
    for row_id in rows[20:30]:
        wide_lab.tables.delete(row_id, TRAIN_TABLE)
    # Left are those that neither lost their label nor are gone.
    assert wide_lab.train(route="bytes", seed=1, epochs=1).digits == 10
