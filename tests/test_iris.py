"""Iris: the rows, the rule against Spark's own, the matching, what is learned from the topics, and the page."""

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.iris import course_table, first_row_table, measure, page, phase_row, phases_of, progressive_row
from labkit import LabError
from labkit.engines.catalog import PACKAGES
from labkit.engines.environment import EngineEnvironment
from labkit.online.events import TEST_TOPIC, TRAIN_TOPIC, TRANSACTIONS_TOPIC, decode_change, decode_end
from labkit.online.iris import TEST_ROWS, Flowers, hold_out, load_flowers, split
from labkit.online.kmeans import Clusters, learn, make_clusters, nearest
from labkit.online.learner import START, START_CENTRES, IrisLearner, RuleClusterer, Step
from labkit.online.matching import count_right, match_clusters
from labkit.online.recipes import EXAMPLE, RECIPES, OnlineKMeans, Recipe
from labkit.online.starts import farthest_points, plus_plus_points
from labkit.online.validation import score_phases, validate_progressively
from labkit.settings import CHECKOUT, LOOPBACK, load_settings

EXAMPLES_CLUSTERS = make_clusters(START_CENTRES, [0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def flowers() -> Flowers:
    return load_flowers()


def test_the_published_rows_are_held_out(flowers: Flowers) -> None:
    training, test = hold_out(flowers)
    assert len(flowers) == 150 and len(training) == 139 and len(test) == 11
    assert [(*row, label) for row, label in zip(test.features.tolist(), test.labels.tolist(), strict=True)] == [
        *TEST_ROWS
    ]
    held = {row[:4] for row in TEST_ROWS}
    assert not held & {tuple(row) for row in training.features.tolist()}


def test_of_two_equal_rows_one_is_held_out_and_then_the_other(flowers: Flowers) -> None:
    twin = (5.8, 2.7, 5.1, 1.9, 2)
    assert len(hold_out(flowers, [twin])[0]) == 149
    assert len(hold_out(flowers, [twin, twin])[0]) == 148
    with pytest.raises(LabError, match="is none of the flowers"):
        hold_out(flowers, [twin, twin, twin])


def test_the_first_percent_is_one_row_and_a_seed_says_which(flowers: Flowers) -> None:
    one, same, other = split(flowers, 1), split(flowers, 1), split(flowers, 2)
    assert (len(one.first), len(one.rest), len(one.test)) == (1, 138, 11)
    assert (one.rest.features == same.rest.features).all() and not (one.rest.features == other.rest.features).all()
    together = np.concatenate([one.first.features, one.rest.features])
    assert sorted(together.tolist()) == sorted(hold_out(flowers)[0].features.tolist())


def test_a_mini_batch_is_learned_by_the_published_rule() -> None:
    before = make_clusters([[0.0, 0.0], [10.0, 10.0]], [4.0, 2.0])
    after = learn(before, [[1.0, 0.0], [2.0, 3.0], [9.0, 9.0]], decay=0.5)
    # c' = (c n a + x m) / (n a + m)
    np.testing.assert_allclose(after.centres, [[3 / 4, 3 / 4], [19 / 2, 19 / 2]])
    np.testing.assert_allclose(after.weights, [4, 2])
    by_points = learn(before, [[1.0, 0.0], [2.0, 3.0], [9.0, 9.0]], decay=0.5, unit="points")
    np.testing.assert_allclose(by_points.weights, [4 / 8 + 2, 2 / 8 + 1])
    assert before.weights.tolist() == [4, 2], "what was there stays as it was"


def test_a_dying_cluster_takes_one_half_of_the_largest() -> None:
    after = learn(EXAMPLES_CLUSTERS, [[5.0, 3.5, 1.5, 0.5]])
    assert after.weights.tolist() == [0.5, 0.5, 0.0]
    assert (after.centres[0] > after.centres[1]).all()
    np.testing.assert_allclose(after.centres[:2], [[5.0, 3.5, 1.5, 0.5]] * 2, atol=1e-12)
    assert after.centres[2].tolist() == [6, 3, 3, 2]


def test_an_empty_mini_batch_only_decays() -> None:
    after = learn(make_clusters([[0.0], [1.0]], [4.0, 2.0]), [], decay=0.5)
    assert after.weights.tolist() == [2, 1] and after.centres.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([[1.0, 2.0, 3.0]], r"points of shape \(1, 3\).*\(points, 4\)"),
        ([1.0, 2.0, 3.0, 4.0], r"points of shape \(4,\)"),
        ([[1.0, 2.0, 3.0, math.nan]], "no finite number"),
        ([[1.0, 2.0, 3.0, math.inf]], "no finite number"),
        ([["a", "b", "c", "d"]], "no points"),
        ([[1.0, 2.0], [1.0]], "no points"),
    ],
)
def test_what_are_no_points_is_refused(points: Sequence[object], words: str) -> None:
    for function in (learn, nearest):
        with pytest.raises(LabError, match=words):
            function(EXAMPLES_CLUSTERS, points)  # type: ignore[arg-type]


@pytest.mark.parametrize(("centres", "weights"), [
    ([1.0], [1.0]), ([[1.0]], [1.0, 1.0]), ([[math.nan]], [1.0]), ([[1.0]], [-1.0]), ([[1.0], [1.0, 2.0]], [1.0, 1.0]),
    ([], []), ([["x"]], [1.0]),
])  # fmt: skip
def test_what_are_no_clusters_is_refused(centres: list[object], weights: list[float]) -> None:
    with pytest.raises(LabError):
        make_clusters(centres, weights)  # type: ignore[arg-type]


def test_a_decay_that_is_none_is_refused() -> None:
    for decay in (-0.1, 1.1, math.nan):
        with pytest.raises(LabError, match="a decay of"):
            learn(EXAMPLES_CLUSTERS, [[5.0, 3.5, 1.5, 0.5]], decay)
    with pytest.raises(LabError, match="does not count 'rows'"):
        learn(EXAMPLES_CLUSTERS, [[5.0, 3.5, 1.5, 0.5]], 1.0, "rows")  # type: ignore[arg-type]


SPARKS_OWN = """
import json, sys
from pyspark.mllib.clustering import StreamingKMeansModel
from pyspark.mllib.linalg import Vectors
from pyspark.sql import SparkSession
options = {"spark.ui.enabled": "false", "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"}
spark = SparkSession.builder.master("local[1]").config(map=options).getOrCreate()
told = []
for run in json.load(open(sys.argv[1])):
    model = StreamingKMeansModel([Vectors.dense(centre) for centre in run["centres"]], run["weights"])
    steps = []
    for batch in run["batches"]:
        rows = spark.sparkContext.parallelize([Vectors.dense(row) for row in batch], 1)
        model.update(rows, run["decay"], run["unit"])
        steps.append([[list(centre) for centre in model.centers], list(model.clusterWeights)])
    told.append(steps)
json.dump(told, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def spark() -> EngineEnvironment:
    environment = EngineEnvironment(PACKAGES["spark"], load_settings())
    environment.install()
    return environment


def runs(flowers: Flowers) -> list[dict[str, object]]:
    """39 mini-batches of many sizes, with and without decay, on flowers and on numbers that clusters die of."""
    random = np.random.default_rng(7)
    parts = split(flowers, 0)
    found: list[dict[str, object]] = [
        {"centres": START_CENTRES, "weights": [0.0, 0.0, 0.0], "decay": 1.0, "unit": "batches",
         "batches": [part.features.tolist() for part in (parts.first, parts.rest, parts.rest)]},
    ]  # fmt: skip
    for decay, unit in ((1.0, "batches"), (0.9, "batches"), (0.9, "points"), (0.3, "points"), (0.0, "batches")):
        order = random.permutation(139)
        cuts = np.sort(random.choice(np.arange(1, 139), 4, replace=False))
        rows = hold_out(flowers)[0].features[order]
        batches = [batch.tolist() for batch in np.split(rows, cuts)]
        batches.insert(3, [])
        found.append(
            {"centres": START_CENTRES, "weights": [0.0, 0.0, 0.0], "decay": decay, "unit": unit, "batches": batches}
        )
    far = random.normal(0, 100, (6, 5)).tolist()
    found.append({"centres": far, "weights": random.uniform(0, 50, 6).tolist(), "decay": 0.01, "unit": "points",
                  "batches": [random.normal(0, 50, (n, 5)).tolist() for n in (1, 3, 40, 1, 2, 7)]})  # fmt: skip
    return found


def test_the_rule_gives_the_centres_that_sparks_own_gives(
    spark: EngineEnvironment, flowers: Flowers, tmp_path: Path
) -> None:
    asked = runs(flowers)
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    done = subprocess.run(
        [spark.python, "-c", SPARKS_OWN, tmp_path / "asked.json", tmp_path / "told.json"],
        env={"JAVA_HOME": str(spark.java_home), "PYSPARK_PYTHON": str(spark.python), "SPARK_LOCAL_IP": LOOPBACK},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    compared, deaths, worst = 0, 0, 0.0
    for run, steps in zip(asked, told, strict=True):
        clusters = make_clusters(run["centres"], run["weights"])  # type: ignore[arg-type]
        for batch, (centres, weights) in zip(run["batches"], steps, strict=True):  # type: ignore[call-overload]
            before = clusters
            clusters = learn(before, batch, run["decay"], run["unit"])  # type: ignore[arg-type]
            np.testing.assert_allclose(clusters.centres, centres, rtol=0, atol=1e-9)
            np.testing.assert_allclose(clusters.weights, weights, rtol=0, atol=1e-9)
            worst = max(worst, float(np.abs(clusters.centres - centres).max()))
            deaths += _shared_weight(clusters)
            compared += 1
    print(f"{compared} mini-batches, {deaths} with a split, largest difference {worst}")
    assert compared == 39 and deaths > 5


def _shared_weight(clusters: Clusters) -> bool:
    """Whether two clusters have just become halves of one."""
    gaps = np.abs(clusters.centres[:, None] - clusters.centres[None]).max(axis=2)
    return bool((gaps + np.eye(len(gaps)) < 1e-9).any())


def test_clusters_are_matched_one_to_one_by_what_is_right_most_often() -> None:
    assert match_clusters([2, 2, 0, 1, 1], [0, 0, 1, 2, 2], 3).tolist() == [1, 2, 0]
    # Both 0 and 1 are mostly label 0; only one of them can be.
    assert match_clusters([0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1, 1], 2).tolist() == [0, 1]
    assert sorted(match_clusters([], [], 3).tolist()) == [0, 1, 2]
    assert count_right([0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1, 1], 2) == 5


@pytest.mark.parametrize(("clusters", "labels"), [([0], [3]), ([3], [0]), ([-1], [0]), ([0, 1], [0]), ([[0]], [[0]])])
def test_numbers_that_cannot_be_matched_are_refused(clusters: list[int], labels: list[int]) -> None:
    with pytest.raises(LabError):
        match_clusters(clusters, labels, 3)


def change(row_id: int, features: Sequence[object], transaction: str | None = "7:100", **more: object) -> bytes:
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    row = {"id": row_id, **dict(zip(names, features, strict=True)), "label": 1, "__op": "c"}
    return json.dumps(row | {"__transaction_id": transaction} | more).encode()


def end(transaction: str, **tables: int) -> bytes:
    counted = [{"data_collection": f"public.{table}", "event_count": count} for table, count in tables.items()]
    return json.dumps({"status": "END", "id": transaction, "data_collections": counted}).encode()


def test_a_transaction_is_learned_when_all_of_it_is_there_and_then_its_test_rows_are_predicted() -> None:
    learner = IrisLearner(RuleClusterer(START.clusters))
    learner.take(TEST_TOPIC, 0, change(1, (6.0, 3.0, 3.0, 2.0)))
    learner.take(TRANSACTIONS_TOPIC, 0, b'{"status": "BEGIN", "id": "7:1"}')
    learner.take(TRANSACTIONS_TOPIC, 1, end("7:200", iris_train=2, iris_test=1))
    learner.take(TRAIN_TOPIC, 0, change(1, (6.0, 3.0, 1.0, 0.2)))
    assert learner.steps() == []
    learner.take(TRAIN_TOPIC, 1, change(2, (6.0, 3.0, 3.0, 2.0)))
    (step,) = learner.steps()
    assert (step.learned.version, step.learned.rows) == (1, 2)
    assert step.learned.positions == {TRAIN_TOPIC: 2, TEST_TOPIC: 1, TRANSACTIONS_TOPIC: 2}
    (prediction,) = step.predictions
    assert (prediction.row_id, prediction.label, prediction.version, prediction.offset) == (1, 1, 1, 0)
    assert prediction.cluster == nearest(step.learned.clusters, [[6.0, 3.0, 3.0, 2.0]])[0]
    assert learner.steps() == []


def topics() -> list[tuple[str, int, bytes]]:
    """Ten transactions of four rows, every other one of test rows, as three topics hold them."""
    random = np.random.default_rng(3)
    found: list[tuple[str, int, bytes]] = []
    offsets = {TRAIN_TOPIC: 0, TEST_TOPIC: 0}
    for number in range(10):
        table, topic = (("iris_test", TEST_TOPIC), ("iris_train", TRAIN_TOPIC))[number % 2 == 0]
        for _ in range(4):
            features = random.uniform(0.1, 8, 4).round(1).tolist()
            found.append((topic, offsets[topic], change(offsets[topic], features, f"{number}:1")))
            offsets[topic] += 1
        found.append((TRANSACTIONS_TOPIC, number, end(f"{number}:2", **{table: 4})))
    return found


def learn_all(records: Sequence[tuple[str, int, bytes]], every: int) -> list[Step]:
    learner = IrisLearner(RuleClusterer(START.clusters))
    steps: list[Step] = []
    for number, record in enumerate(records):
        learner.take(*record)
        if number % every == 0:
            steps += learner.steps()
    return steps + learner.steps()


def test_what_is_learned_follows_from_the_topics_alone() -> None:
    records = topics()
    by_topic = sorted(records, key=lambda record: record[0])
    assert len(learn_all(records, 1)) == 10
    assert learn_all(records, 1) == learn_all(records, 7) == learn_all(by_topic, 3) == learn_all(by_topic[::1], 100)


@pytest.mark.parametrize("killed_after", range(1, 10))
def test_a_successor_goes_on_where_the_last_centres_were_learned(killed_after: int) -> None:
    records = topics()
    whole = learn_all(records, 1)
    learned = whole[killed_after - 1].learned
    successor = IrisLearner(RuleClusterer(learned.clusters), learned)
    for topic, offset, value in records:
        successor.take(topic, offset, value)
        successor.take(topic, offset, value)  # Handed out twice.
    assert successor.steps() == whole[killed_after:]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (change(1, (5.0, 3.0, 1.0, -0.2)), "petal_width"),
        (change(1, (5.0, 3.0, 1.0, "0.2")), "petal_width"),
        (change(1, (5.0, 3.0, 1.0, None)), "petal_width"),
        (change(1, (5.0, 3.0, math.nan, 0.2)), "NaN|no flower"),
        (change(1, (5.0, 3.0, 1.0, 0.2), label=3), "label"),
        (change(1, (5.0, 3.0, 1.0, 0.2), label=True), "label"),
        (change(1, (5.0, 3.0, 1.0, 0.2), __op="u"), "inserts nothing"),
        (change(1, (5.0, 3.0, 1.0, 0.2), __op="d"), "inserts nothing"),
    ],
)
def test_a_row_that_is_no_flower_is_passed_over_and_its_transaction_ends(
    value: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    learner = IrisLearner(RuleClusterer(START.clusters))
    learner.take(TRAIN_TOPIC, 0, value)
    learner.take(TRAIN_TOPIC, 1, change(2, (6.0, 3.0, 3.0, 2.0)))
    learner.take(TRANSACTIONS_TOPIC, 0, end("7:200", iris_train=2))
    (step,) = learner.steps()
    assert (step.learned.version, step.learned.rows) == (1, 1)
    assert f"{TRAIN_TOPIC}@0" in caplog.text
    found = [record.getMessage() for record in caplog.records]
    assert any(word in found[0] for word in words.split("|")), found


@pytest.mark.parametrize("value", [None, b"", b"no json", b"[1, 2]", b"{}", change(1, (5.0, 3.0, 1.0, 0.2), None)])
def test_a_foreign_record_is_passed_over_with_a_line_in_the_log(
    value: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    learner = IrisLearner(RuleClusterer(START.clusters))
    learner.take(TRAIN_TOPIC, 0, value)
    learner.take(TRANSACTIONS_TOPIC, 0, value)
    learner.take(TRAIN_TOPIC, 1, change(1, (6.0, 3.0, 3.0, 2.0)))
    learner.take(TRANSACTIONS_TOPIC, 1, end("7:200", iris_train=1))
    assert [step.learned.rows for step in learner.steps()] == [1]
    assert f"{TRAIN_TOPIC}@0 is not of the iris tables" in caplog.text
    assert f"{TRANSACTIONS_TOPIC}@0 is not of the iris tables" in caplog.text


def test_rows_of_a_transaction_that_never_was_do_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    learner = IrisLearner(RuleClusterer(START.clusters))
    learner.take(TRAIN_TOPIC, 0, change(9, (6.0, 3.0, 3.0, 2.0), "999:1"))
    learner.take(TRAIN_TOPIC, 1, change(1, (6.0, 3.0, 3.0, 2.0)))
    learner.take(TRANSACTIONS_TOPIC, 0, end("7:200", iris_train=1))
    (step,) = learner.steps()
    assert step.learned.rows == 1 and step.learned.positions[TRAIN_TOPIC] == 2
    assert "claim transaction 999" in caplog.text


def test_a_change_and_an_end_name_the_same_transaction() -> None:
    ended = decode_end(0, end("7:200", iris_train=1))
    assert (
        ended is not None and ended.transaction == decode_change(TRAIN_TOPIC, 0, change(1, (5, 3, 1, 0.2))).transaction
    )
    assert ended.changes == {TRAIN_TOPIC: 1}


def test_starts_are_points_far_from_each_other() -> None:
    points = np.array([[0.0, 0], [0.1, 0], [5, 5], [5, 5.1], [0, 9], [0.1, 9]])
    assert len({tuple(np.round(row / 4)) for row in farthest_points(points, 3)}) == 3
    drawn = [plus_plus_points(points, 3, np.random.default_rng(seed)) for seed in range(50)]
    apart = sum(len({tuple(np.round(row / 4)) for row in rows}) == 3 for rows in drawn)
    assert apart > 45
    assert plus_plus_points(np.ones((4, 2)), 3, np.random.default_rng(0)).tolist() == [[1, 1]] * 3


def test_scaling_does_not_depend_on_the_unit(flowers: Flowers) -> None:
    recipe = Recipe("scaled", starts="farthest", scaled=True)
    stretched = Flowers(flowers.features * [1, 10, 1, 100], flowers.labels)
    first, second = (validate_progressively(recipe, some, 0) for some in (flowers, stretched))
    assert (first == second).all()


def test_a_recipe_learns_by_the_rule_and_has_one_cluster_until_it_starts(flowers: Flowers) -> None:
    model = OnlineKMeans(Recipe("waits", starts="farthest", first=10))
    model.learn(flowers.features[:9])
    assert model.clusters is None and set(model.nearest(flowers.features).tolist()) == {0}
    model.learn(flowers.features[100:])
    assert model.clusters is not None and model.clusters.weights.sum() == pytest.approx(59)
    plain = OnlineKMeans(EXAMPLE)
    plain.learn(flowers.features)
    assert plain.clusters is not None
    np.testing.assert_allclose(plain.clusters.centres, learn(EXAMPLES_CLUSTERS, flowers.features).centres, atol=1e-12)


def test_no_label_is_looked_at_before_its_row_is_predicted(flowers: Flowers) -> None:
    seed, changed = 5, 60
    order = np.random.default_rng(seed).permutation(150)
    labels = flowers.labels.copy()
    labels[order[changed:]] = (labels[order[changed:]] + 1) % 3
    before = validate_progressively(EXAMPLE, flowers, seed)
    after = validate_progressively(EXAMPLE, Flowers(flowers.features, labels), seed)
    assert (before[:changed] == after[:changed]).all()
    assert before[changed] != after[changed] or before[changed:].sum() != after[changed:].sum()


def test_the_page_tells_what_the_code_gives(flowers: Flowers) -> None:
    text = (CHECKOUT / "docs" / "iris.md").read_text()
    phases = phases_of(EXAMPLE, flowers)
    assert "\n".join(course_table(phases)) in text
    assert phase_row(EXAMPLE, phases) in text
    assert "\n".join(first_row_table(phases, flowers)) in text
    example = measure(EXAMPLE, flowers)
    assert progressive_row(example, example) in text
    for recipe in RECIPES:
        assert f"| {recipe.name} |" in text
    assert score_phases(EXAMPLE, split(flowers, 0)) == tuple(phases[0])


@pytest.mark.on_demand
def test_the_page_is_what_the_benchmark_makes(flowers: Flowers) -> None:
    results = [measure(recipe, flowers) for recipe in RECIPES]
    assert (CHECKOUT / "docs" / "iris.md").read_text() == page(results, flowers)
