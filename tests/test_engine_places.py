"""Where an engine may run, how much of that its job takes, and what is noted of it."""

from pathlib import Path

import pytest

from labkit import Lab, LabError
from labkit.engines.catalog import ENGINES
from labkit.engines.choice import EngineChoice
from labkit.engines.place import Place, check_place
from labkit.settings import Settings


@pytest.mark.parametrize(
    ("engine", "master"),
    [("spark", master) for master in ("local[two]", "local[0]", "spark://host", "http://host:7077", "local[2]; rm")]
    + [("flink-kafka", master) for master in ("local[*]", "local[0]", "spark://host:7077", "host", "host:8081; rm")],
)
def test_a_place_where_an_engine_cannot_run_is_refused(engine: str, master: str) -> None:
    with pytest.raises(LabError, match="cannot run at .*such as local"):
        check_place(ENGINES[engine], master)


@pytest.mark.parametrize(
    ("engine", "master"),
    [("spark", master) for master in ("local", "local[2]", "local[*]", "spark://host-1.example:7077", "yarn")]
    + [("flink-kafka", master) for master in ("local", "local[2]", "host-1.example:8081")],
)
def test_a_place_where_an_engine_can_run_is_taken(engine: str, master: str) -> None:
    assert check_place(ENGINES[engine], master) == Place(master=master)


@pytest.mark.parametrize(
    ("master", "parallelism", "place"),
    [
        ("", None, Place(master="local[2]")),
        ("", 3, Place(master="local[3]")),
        ("local", 3, Place(master="local[3]")),
        ("local[3]", 3, Place(master="local[3]")),
        ("host:8081", 3, Place(master="host:8081", parallelism=3)),
    ],
)
def test_how_many_at_a_time(master: str, parallelism: int | None, place: Place) -> None:
    assert check_place(ENGINES["flink-kafka"], master, parallelism) == place


@pytest.mark.parametrize(
    ("noted", "master", "parallelism", "place"),
    [
        (None, "", None, Place(master="local[2]")),
        (Place(master="local[3]"), "", None, Place(master="local[3]")),
        (Place(master="local[3]"), "", 4, Place(master="local[4]")),
        (Place(master="host:8081", parallelism=3), "", None, Place(master="host:8081", parallelism=3)),
        (Place(master="host:8081", parallelism=3), "", 4, Place(master="host:8081", parallelism=4)),
        (Place(master="host:8081", parallelism=3), "other:8081", None, Place(master="other:8081")),
        (Place(master="host:8081", parallelism=3), "local", None, Place(master="local")),
    ],
)
def test_where_a_scorer_runs_that_is_asked_to_run_elsewhere(
    noted: Place | None, master: str, parallelism: int | None, place: Place
) -> None:
    choice = EngineChoice(places={} if noted is None else {"flink-kafka": noted})
    assert choice.asked_for(ENGINES["flink-kafka"], master, parallelism) == place


@pytest.mark.parametrize(
    ("master", "parallelism", "words"),
    [("", 0, "1 or more"), ("host:8081", -1, "1 or more"), ("local[2]", 3, "says another number")],
)
def test_a_parallelism_that_is_none_is_refused(master: str, parallelism: int, words: str) -> None:
    with pytest.raises(LabError, match=words):
        check_place(ENGINES["flink-kafka"], master, parallelism)


def test_the_labs_own_scorer_runs_nowhere_else(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "lab", cache_dir=tmp_path / "cache")
    for asked in ({"master": "local[2]"}, {"parallelism": 2}):
        with pytest.raises(LabError, match="runs here, in one process.*labkit engine use local"):
            Lab(settings).score_by("local", **asked)
