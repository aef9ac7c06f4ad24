"""What a Flink job is left with: lines that say why it ended, and checkpoints that only their own kind goes on from."""

import os
from pathlib import Path

import pytest

from labkit import LabError
from labkit.engines import flink_savepoint
from labkit.engines.flink_end import why_it_ended
from labkit.engines.flink_savepoint import WRITER_NOTE, newest_state

TABLE_GONE = """\
org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
Caused by: java.io.IOException: unable to flush; will retry
Caused by: java.sql.BatchUpdateException: Batch entry 0 INSERT INTO predictions(row_id) VALUES (1) was aborted
Caused by: org.postgresql.util.PSQLException: ERROR: relation "predictions" does not exist
  Position: 13"""
SLOT_TAKEN = """\
org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
Caused by: org.postgresql.util.PSQLException: ERROR: replication slot "labkit_flink" is active for PID 4711"""
POISON = """\
org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
Caused by: java.io.IOException: Corrupt Debezium JSON message 'no
JSON'.
Caused by: com.fasterxml.jackson.core.JsonParseException: Unrecognized token 'no'"""


@pytest.mark.parametrize(
    ("trace", "problem", "fix"),
    [
        (TABLE_GONE, "no table predictions", "labkit engine stop flink-cdc --forget"),
        (
            SLOT_TAKEN,
            "slot labkit_flink is read by somebody else, PostgreSQL's process 4711",
            "terminate_backend(4711)",
        ),
        (POISON, r"no change event of Debezium's: 'no\nJSON'", "skip_bad=True"),
        (
            POISON.replace("Corrupt Debezium JSON message", "Failed to deserialize JSON"),
            r"no change event of Debezium's: 'no\nJSON'",
            "skip_bad=True",
        ),
        ("a.B: outer\nCaused by: c.D: inner", "Flink's job has ended: c.D: inner", "say more"),
        ("a.B: alone", "Flink's job has ended: a.B: alone", "say more"),
    ],
)
def test_why_a_job_ended_is_said_in_a_line(trace: str, problem: str, fix: str) -> None:
    error = why_it_ended(trace)
    assert problem in error.problem and fix in (error.fix or "")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job that Flink 1.20.5 has left with two checkpoints, of which the second is the newest."""
    monkeypatch.setattr(flink_savepoint, "flink_version", lambda: "1.20.5")
    assert newest_state(tmp_path, "forget it") is None
    for number, name in enumerate(("checkpoint/1/chk-8", "checkpoint/2/chk-3")):
        state = tmp_path / name
        state.mkdir(parents=True)
        (state / "_metadata").touch()
        os.utime(state, (number, number))
    return tmp_path


def test_a_job_goes_on_from_its_newest_checkpoint(job: Path) -> None:
    assert newest_state(job, "forget it") == (job / "checkpoint/2/chk-3").as_uri()
    assert not (job / "checkpoint/1").exists()


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ('["1.19.0",1]', "of Flink 1.19.0, layout 1"),
        ('["1.20.5",0]', "layout 0"),
        ('["1.2', "damaged"),
        ("7", "damaged"),
    ],
)
def test_a_checkpoint_of_another_version_is_left_and_the_job_does_not_start(job: Path, note: str, words: str) -> None:
    (job / WRITER_NOTE).write_text(note)
    for _ in range(2):
        with pytest.raises(LabError, match=f"{words}.*forget it"):
            newest_state(job, "forget it")
    assert len(list(job.rglob("_metadata"))) == 2


def test_checkpoints_without_a_note_are_of_the_first_layout_and_get_one(job: Path) -> None:
    (job / WRITER_NOTE).unlink()
    told = "of Flink 1.20.5, layout 1; this is Flink 1.20.5, layout 2"
    with pytest.raises(LabError, match=told):
        newest_state(job, "forget it", layout=2)
    assert newest_state(job, "forget it")
    with pytest.raises(LabError, match=told):
        newest_state(job, "forget it", layout=2)
