"""The course's own machinery: exercises from solutions, verdicts, and a workbench that leaves nothing behind."""

from decimal import Decimal

import psycopg
import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata, TopicPartition
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from labkit import Lab, LabError
from labkit.capture.configs import ConnectorConfig, load_config
from labkit.course import Workbench, WrongAnswer, check
from labkit.course.answers import number
from labkit.course.exercises import make_exercise
from labkit.stream.reading import read_to_present_end, wait_for_records
from labkit.stream.topics import CLIENT

SOLUTION = """rows = 3
# solution: answer
half = rows / 2
answer = 2 * half
# end of solution
print(answer)"""


def test_a_solution_is_folded_away_below_its_cell() -> None:
    solved = new_code_cell(SOLUTION, id="count", execution_count=4, metadata={"tags": ["nbval-check-output"]})
    exercise = make_exercise(new_notebook(cells=[new_markdown_cell("text", id="text"), solved]))
    text, cell, folded = exercise.cells
    assert text.source == "text"
    assert cell.source == "rows = 3\nanswer = ...\nprint(answer)"
    assert (cell.execution_count, cell.outputs, cell.metadata) == (None, [], {})
    assert folded.id == "count-solution"
    assert folded.source.startswith("<details>") and "half = rows / 2\nanswer = 2 * half\n" in folded.source
    assert solved.source == SOLUTION and solved.execution_count == 4, "the solution itself stays as it was"


def test_a_solution_without_a_name_keeps_its_indent() -> None:
    solved = new_code_cell("with lab:\n    # solution\n    lab.up()\n    # end of solution", id="up")
    cell, folded = make_exercise(new_notebook(cells=[solved])).cells
    assert cell.source == "with lab:\n    ..."
    assert "```python\nlab.up()\n```" in folded.source


def test_a_solution_that_is_not_closed_is_refused() -> None:
    with pytest.raises(LabError, match="cell open: a solution is not closed"):
        make_exercise(new_notebook(cells=[new_code_cell("# solution\n1", id="open")]))


@check
def _is_three(answer: object) -> str:
    if answer == "away":
        raise LabError("the broker is away", "labkit up")
    if answer == "cleared":
        raise psycopg.errors.UndefinedTable("no such table")
    if answer == "slow":
        raise KafkaTimeoutError("no answer in 30 s")
    if answer != 3:
        raise WrongAnswer(f"<{answer}> is not three.")
    return "Three it is."


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (3, "right", "Three it is."),
        (4, "wrong", "<4> is not three."),
        (..., "open", "three dots"),
        (None, "open", "found nothing"),
        ("away", "unchecked", "labkit up"),
        ("slow", "unchecked", "no answer in 30 s → labkit status"),
        ("cleared", "unchecked", "no such table → run the lesson's cells in order"),
    ],
)
def test_a_verdict_says_what_it_is_by_word_and_sign(answer: object, kind: str, words: str) -> None:
    verdict = _is_three(answer)
    assert verdict.kind == kind and words in verdict.words
    assert verdict.right == (kind == "right")
    assert "<4>" not in verdict._repr_html_(), "an answer is shown as text"


@pytest.mark.parametrize("lesson", ["", "Two", "two_", "b2", "é"])
def test_a_workbench_refuses_a_name_no_slot_can_have(lesson: str) -> None:
    with pytest.raises(LabError, match="lower-case letters"):
        Workbench(Lab(), lesson)


def _capture_a_table(bench: Workbench, lab: Lab) -> ConnectorConfig:
    """A connector with a slot, a publication and topics, on a table of one row."""
    table = bench.name("pets")
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, name text)")  # pyright: ignore
        connection.execute(f"INSERT INTO {table} (name) VALUES ('Ada')")  # pyright: ignore
    config = load_config("talk", lab.endpoints, lab.settings).config | {
        "plugin.name": "pgoutput",
        "topic.prefix": bench.name("topics"),
        "table.include.list": f"public.{table}",
        "slot.name": bench.name("slot"),
        "publication.name": bench.name("publication"),
        "heartbeat.interval.ms": "200",
    }
    connector = ConnectorConfig(bench.name("connector"), {k: v for k, v in config.items() if "transforms" not in k})
    lab.connect.register(connector)
    wait_for_records(lab.kafka, f"{bench.name('topics')}.public.{table}", 1)
    return connector


def test_a_workbench_clears_all_that_a_lesson_made_and_nothing_else(lab: Lab) -> None:
    bench, other = Workbench(lab, "bench"), Workbench(lab, "other")
    other_name = other.name("kept")
    with psycopg.connect(lab.endpoints.postgres, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {other_name} (id int)")  # pyright: ignore
    try:
        for _ in range(2):  # The second time, no offset is left that would spare the snapshot.
            bench.clear()
            assert bench.things() == []
            _capture_a_table(bench, lab)
            topic = f"{bench.name('topics')}.public.{bench.name('pets')}"
            assert len(list(read_to_present_end(lab.kafka, topic))) == 1
            reader = KafkaConsumer(bootstrap_servers=lab.kafka, group_id=bench.name("group"), **CLIENT)
            reader.commit({TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)})
            reader.close()
            kinds = {thing.split()[0] for thing in bench.things()}
            assert kinds == {"connector", "slot", "publication", "table", "topic", "group"}
        bench.clear()
        assert bench.things() == []
        assert other.things() == [f"table {other_name}"]
    finally:
        bench.clear()
        other.clear()


def test_a_number_may_be_postgresqls() -> None:
    assert number(Decimal("1.5"), "an amount") == 1.5
    with pytest.raises(WrongAnswer, match="An amount is a number"):
        number(Decimal("NaN"), "an amount")
