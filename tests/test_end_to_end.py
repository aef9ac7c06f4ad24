"""The whole way on the real servers, and a wrong input at each edge of it."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg
import pytest
import requests
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from kafka import KafkaProducer

from labkit import Lab, LabError
from labkit.capture.configs import ConnectorConfig, load_config
from labkit.capture.event import ChangeEvent
from labkit.digits import load_digits
from labkit.model.live_view import LiveView
from labkit.model.prediction_records import read_predictions
from labkit.settings import PREDICTIONS_TOPIC, TEST_TABLE, load_settings, table_topic
from labkit.stream.events import decode_event
from labkit.stream.reading import read_to_present_end
from tests.accounts import balanced, score_since_reset

DIGIT = load_digits("bundled", "test").images[0]
TEST_TOPIC = table_topic("lab", TEST_TABLE)


def labkit(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run([sys.executable, "-m", "labkit", *arguments], capture_output=True, text=True, timeout=180)


def test_insert_relabel_delete_each_arrive_as_an_event(scoring_lab: Lab) -> None:
    lab = scoring_lab
    before = balanced(lab)
    row_id = lab.insert(DIGIT, None)
    lab.relabel(row_id, 3)
    lab.relabel(row_id, 4)
    lab.delete(row_id)

    def own_events() -> list[ChangeEvent]:
        return [e for e in map(decode_event, read_to_present_end(lab.kafka, TEST_TOPIC)) if e.row_id == row_id]

    # A row that is gone before its first event comes is nothing that the ledger would wait for.
    lab.wait_until(lambda: len(own_events()) == 4, "the row's four events are in Kafka")
    after = balanced(lab)
    assert (after.rows, after.events) == (before.rows, before.events + 4)
    events = own_events()
    changes = [(e.operation, e.before_label, e.label) for e in events]
    assert changes == [("c", None, None), ("u", None, 3), ("u", 3, 4), ("d", 4, None)]
    assert events[0].pixels == DIGIT.tobytes()
    assert [e.lsn for e in events] == sorted({e.lsn for e in events})
    predictions = [p for p in read_predictions(lab.kafka)[0] if p.row_id == row_id]
    assert [p.offset for p in predictions] == [e.offset for e in events]
    assert [p.label for p in predictions] == [None, 3, 4, None]
    for prediction in predictions[:3]:
        assert prediction.predicted == int(np.argmax(prediction.probabilities))
        assert sum(prediction.probabilities) == pytest.approx(1.0, abs=1e-3)
        assert prediction.continual in range(10)
        assert prediction.committed_ms <= prediction.read_ms <= prediction.predicted_ms


def test_relabelling_moves_the_running_score(scoring_lab: Lab) -> None:
    lab = scoring_lab
    digits = load_digits("bundled", "test")
    row_id = lab.insert(digits.images[3], int(digits.labels[3]))
    right = balanced(lab)
    lab.relabel(row_id, (int(digits.labels[3]) + 1) % 10)
    wrong = balanced(lab)
    assert wrong.counted == right.counted
    assert wrong.accuracy != right.accuracy
    lab.delete(row_id)
    assert balanced(lab).counted == right.counted - 1


def test_the_live_view_agrees_with_the_ledger(scoring_lab: Lab) -> None:
    ledger = scoring_lab.settle()
    assert ledger.balanced, ledger
    state = scoring_lab.view.state()
    assert (state.events_seen, state.predictions_seen) == (ledger.events, ledger.predictions)
    score = score_since_reset(scoring_lab)
    assert (state.score.counted, state.score.correct) == (score.counted, score.correct)


def test_a_reset_begins_the_score_anew_on_every_screen_and_loses_nothing(scoring_lab: Lab) -> None:
    lab = scoring_lab
    before = balanced(lab)
    other = LiveView(lab.kafka).start()
    try:
        lab.reset_scores()
        lab.wait_until(lambda: lab.view.state().score.counted == other.state().score.counted == 0, "both are reset")
        row_id = lab.insert(DIGIT, 3)
        lab.wait_until(lambda: lab.view.state().score.counted == other.state().score.counted == 1, "both count it")
        lab.delete(row_id)
        lab.wait_until(lambda: lab.view.state().score.counted == other.state().score.counted == 0, "both count it out")
        events = before.events + 2  # A view may read a prediction before its event.
        lab.wait_until(lambda: lab.view.state().events_seen == other.state().events_seen == events, "both saw them")
    finally:
        other.stop()
    late = LiveView(lab.kafka).start()
    try:
        seen = lab.settle()
        wanted = (seen.events, seen.predictions)
        lab.wait_until(lambda: (late.state().events_seen, late.state().predictions_seen) == wanted, "it catches up")
        assert late.state().score.counted == 0
    finally:
        late.stop()
    assert balanced(lab).counted == before.counted


def test_what_has_scrolled_away_is_read_back_from_kafka(scoring_lab: Lab) -> None:
    lab = scoring_lab
    rows = [lab.insert(DIGIT, label) for label in range(5)]
    lab.relabel(rows[0], 9)
    balanced(lab)
    newest = lab.older_events(TEST_TABLE, None, {}, None, 6)
    assert [(scored.event.row_id, scored.event.operation) for scored in newest] == [
        (rows[0], "u"),
        *((row, "c") for row in reversed(rows)),
    ]
    assert all(scored.prediction is not None and scored.prediction.offset == scored.event.offset for scored in newest)
    before = {TEST_TABLE: {0: newest[2].event.offset}}
    assert [scored.event.row_id for scored in lab.older_events(TEST_TABLE, "c", before, None, 2)] == rows[1:3][::-1]
    training = lab.older_events(None, "r", before, newest[2].event.recorded_ms, 50)
    assert len(training) == 50 and {scored.event.operation for scored in training} == {"r"}
    event = newest[0].event
    assert newest[2].prediction is not None and newest[2].prediction.predicted is not None
    label, said = newest[2].event.label, newest[2].prediction.predicted
    assert label is not None
    lab.settle()
    (digit,) = [one for one in lab.digits_of(label, said) if one.row_id == rows[3]]
    assert digit.pixels == DIGIT.tobytes()
    raw = lab.record(TEST_TABLE, event.partition, event.offset)
    assert (raw.key, raw.value) == (str(rows[0]).encode(), DIGIT.tobytes())
    assert dict(raw.headers)["__op"] == b"u" and dict(raw.headers)["__before_label"] == b"0"
    for offset in (-1, 10**9):
        with pytest.raises(LabError, match="there is no record"):
            lab.record(TEST_TABLE, 0, offset)


def test_sending_at_a_high_rate_keeps_the_account(scoring_lab: Lab) -> None:
    lab = scoring_lab
    before, sent = balanced(lab), lab.sender.sent
    lab.start_sending(500, "noisy", 0.3)
    lab.wait_until(lambda: lab.sender.sent >= sent + 1000, "1,000 digits are sent")
    lab.stop_sending()
    assert not lab.sending and lab.sending_problem == ""
    after = balanced(lab)
    assert after.rows - before.rows == after.events - before.events == lab.sender.sent - sent


def test_the_talks_configuration_works_as_printed(scoring_lab: Lab) -> None:
    lab = scoring_lab
    lab.capture("talk")
    try:
        row_id = lab.insert(DIGIT, 8)
        expected = ",".join(str(pixel) for pixel in DIGIT.ravel())

        def arrived() -> bool:
            records = read_to_present_end(lab.kafka, table_topic("tf", TEST_TABLE))
            return any(
                record.key == b"8"
                and record.value == expected.encode()
                and ("__id", str(row_id).encode()) in record.headers
                for record in records
            )

        lab.wait_until(arrived, "the CSV record of the new row", timeout_s=60)
        lab.delete(row_id)
    finally:
        lab.capture("csv")


def test_the_capture_role_reads_its_tables_and_nothing_else(scoring_lab: Lab) -> None:
    endpoints = scoring_lab.endpoints
    with psycopg.connect(scoring_lab.endpoints.postgres, autocommit=True) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS secrets (x text)")
    login = f"host={endpoints.postgres_host} port={endpoints.postgres_port} dbname={endpoints.database}"
    login += f" user={endpoints.capture_user} password={endpoints.capture_password}"
    with psycopg.connect(login, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM mnist_test").fetchone()
        for forbidden in ("SELECT * FROM secrets", "DELETE FROM mnist_test", "CREATE TABLE mine (x int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)


def test_postgres_wants_its_password(scoring_lab: Lab) -> None:
    endpoints = scoring_lab.endpoints
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"host={endpoints.postgres_host} port={endpoints.postgres_port} user=postgres password=wrong")


def test_everything_listens_on_loopback_only(scoring_lab: Lab) -> None:
    pids = [status.pid for status in scoring_lab.stack.status() if status.pid]
    listening = [
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_a_second_up_starts_nothing(scoring_lab: Lab) -> None:
    before = {status.name: status.pid for status in scoring_lab.stack.status()}
    scoring_lab.up()
    assert {status.name: status.pid for status in scoring_lab.stack.status()} == before


@pytest.mark.parametrize(
    ("pixels", "label", "says"),
    [
        (np.zeros((27, 28), np.uint8), 1, "27×28"),
        (DIGIT / 255.0, 1, "whole numbers"),
        (np.full((28, 28), np.nan), 1, "NaN"),
        (DIGIT, 11, "11"),
        (DIGIT, "three", "three"),
    ],
)
def test_what_is_no_digit_is_not_inserted(scoring_lab: Lab, pixels: object, label: object, says: str) -> None:
    before = len(scoring_lab.tables.labels(TEST_TABLE))
    with pytest.raises(LabError, match=says) as caught:
        scoring_lab.insert(pixels, label)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    assert len(scoring_lab.tables.labels(TEST_TABLE)) == before


@pytest.mark.parametrize(("label", "size"), [(1, 783), (11, 784), (-1, 784)])
def test_the_database_itself_refuses_what_is_no_digit(scoring_lab: Lab, label: int, size: int) -> None:
    with (
        psycopg.connect(scoring_lab.endpoints.postgres) as connection,
        pytest.raises(psycopg.errors.CheckViolation, match=r"pixels_are_784_bytes|label_is_a_digit"),
    ):
        connection.execute("INSERT INTO mnist_test (label, pixels) VALUES (%s, %s)", [label, bytes(size)])


def test_relabelling_a_row_that_is_not_there_is_named(scoring_lab: Lab) -> None:
    with pytest.raises(LabError, match="no row 999999"):
        scoring_lab.relabel(999999, 1)


def test_foreign_records_are_passed_over_and_the_stream_goes_on(scoring_lab: Lab) -> None:
    before = balanced(scoring_lab)
    producer = KafkaProducer(bootstrap_servers=scoring_lab.kafka)
    for topic in (TEST_TOPIC, PREDICTIONS_TOPIC):
        producer.send(topic, key=b"?", value=b"not a digit").get(10)
    producer.close()
    scoring_lab.insert(DIGIT, 5)
    after = balanced(scoring_lab)
    assert after.foreign_records == before.foreign_records + 2
    assert after.predictions == before.predictions + 1
    assert "not a digit" not in scoring_lab.stack.log("scorer")
    assert "is no digit" in scoring_lab.stack.log("scorer")


def test_an_unknown_connector_option_is_refused_with_the_nearest_name(scoring_lab: Lab) -> None:
    config = load_config("bytes", scoring_lab.endpoints, scoring_lab.settings)
    for option, near in (("slot.nam", "slot.name"), ("transforms.unwrap.add.heders", "transforms.unwrap.add.headers")):
        with pytest.raises(LabError, match=option) as caught:
            scoring_lab.connect.register(ConnectorConfig(config.name, config.config | {option: "x"}))
        assert near in str(caught.value)
    assert requests.get(f"{scoring_lab.endpoints.connect}/connectors/{config.name}/status", timeout=10).ok


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("send", "--rate", "-1"), "-1"),
        (("send", "--rate", "nan"), "nan"),
        (("send", "--count", "-5"), "-5"),
        (("send", "--how", "blurred"), "clean, noisy, rotated, thick, hand"),
        (("send", "--how", "noisy", "--strength", "2"), "from 0"),
        (("send", "--rte", "1"), "--rate"),
    ],
)
def test_the_command_line_refuses_in_words(scoring_lab: Lab, arguments: tuple[str, ...], says: str) -> None:
    result = labkit(*arguments)
    assert result.returncode != 0
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_line_tells_json(scoring_lab: Lab) -> None:
    sent = json.loads(labkit("send", "--count", "3", "--rate", "50", "--json").stdout)
    assert sent["inserted"] == 3
    ledger = json.loads(labkit("ledger", "--wait", "20", "--json").stdout)
    assert ledger["balanced"] is True
    status = {entry["name"]: entry for entry in json.loads(labkit("status", "--json").stdout)}
    assert all(entry["healthy"] for entry in status.values())
    assert {"postgres", "kafka", "connect", "scorer", "lab-connector", "mnist-connector"} <= set(status)


def _interrupted(manager: KernelManager, client: BlockingKernelClient, code: str, after_s: float) -> dict[str, Any]:
    """Run code in a kernel, interrupt it after a while, and return the reply."""
    ended = threading.Event()

    def interrupt_until_it_ends() -> None:
        # Python passes over an interrupt that falls into a destructor: a person presses the button again.
        while not ended.wait(after_s):
            manager.interrupt_kernel()

    threading.Thread(target=interrupt_until_it_ends, daemon=True).start()
    try:
        return client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
    finally:
        ended.set()


@pytest.mark.on_demand
def test_a_kernel_interrupted_in_training_trains_again(scoring_lab: Lab) -> None:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive("from labkit import Lab; lab = Lab()", timeout=120, output_hook=lambda _: None)
        # The first falls into the import of TensorFlow, which takes seconds; the second into the training.
        for after_s in (1.0, 8.0):
            # Of an interrupt that falls into the making of a dataset, TensorFlow makes a TypeError.
            reply = _interrupted(manager, client, "while True: lab.train(seed=1)", after_s)
            assert reply["content"]["ename"] in ("KeyboardInterrupt", "TypeError"), reply["content"]
        again = client.execute_interactive("training = lab.train(seed=1)", timeout=180, output_hook=lambda _: None)
        assert again["content"]["status"] == "ok", again["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_second_lab_takes_free_ports_and_leaves_nothing_behind(scoring_lab: Lab, tmp_path: Path) -> None:
    taken = scoring_lab.endpoints
    home = tmp_path / "second"
    command = [sys.executable, "-c", "from labkit import Lab; Lab().up(); print(Lab().endpoints.model_dump_json())"]
    environment = {
        "LABKIT_HOME": str(home),
        "LABKIT_CACHE_DIR": str(scoring_lab.settings.cache_dir),
        "PATH": "/usr/bin",
    }
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        environment["LABKIT_CONNECT_PORT"] = str(foreign.getsockname()[1])
        # Two starts of the same lab at the same time: one does the work, the other waits for it. And of a third lab.
        homes = (home, home, tmp_path / "third")
        starts = [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment | {"LABKIT_HOME": str(its_home)},
            )
            for its_home in homes
        ]
        outputs = [start.communicate(timeout=180)[0] for start in starts]
        assert [start.returncode for start in starts] == [0, 0, 0], outputs
        endpoints = [json.loads(output.splitlines()[-1]) for output in outputs]
        assert endpoints[0] == endpoints[1]
        ports = [[value for name, value in found.items() if name.endswith("_port")] for found in endpoints]
        assert not set(ports[0]) & set(ports[2]), "two labs that start at once take different ports"
        assert endpoints[0]["connect_port"] != foreign.getsockname()[1]
        assert endpoints[0]["postgres_port"] != taken.postgres_port
        assert endpoints[0]["kafka_port"] != taken.kafka_port
        assert any("is taken; using" in output for output in outputs)
    for its_home in set(homes):
        down = subprocess.run(
            [sys.executable, "-m", "labkit", "down"],
            env=environment | {"LABKIT_HOME": str(its_home)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert down.returncode == 0, down.stderr
        assert not its_home.exists()
    commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert [command for command in commands if str(tmp_path) in command] == []


def test_what_capture_has_lost_comes_when_the_tables_are_read_anew(tmp_path: Path) -> None:
    lab = Lab(load_settings().model_copy(update={"home": tmp_path / "lossy"}))
    try:
        lab.up(report=lambda _: None)
        kept, relabelled = lab.insert(DIGIT, 3), lab.insert(DIGIT, 3)
        lab.capture("bytes")
        lab.wait_until(lambda: lab.ledger().events == 2, "both rows are captured")
        lab.release("bytes")
        lost = lab.insert(DIGIT, 4)
        lab.relabel(relabelled, 5)
        ledger = lab.ledger()
        assert (ledger.rows_without_event, ledger.rows_out_of_date) == ([lost], [relabelled])
        assert any("labkit mend" in words for words in ledger.advice)
        with psycopg.connect(lab.endpoints.postgres) as connection:
            written = dict(connection.execute("SELECT id, xmin::text::bigint FROM mnist_test").fetchall())
        told = {fault.row_id: (fault.kind, fault.transaction) for fault in ledger.faults if "row" in fault.kind}
        assert told == {
            lost: ("row without event", written[lost]),
            relabelled: ("row out of date", written[relabelled]),
        }

        lab.capture("bytes")
        lab.wait_until(lambda: lab.ledger().events == 5, "the rows of the table are captured anew")
        ledger = lab.ledger()
        assert (ledger.rows_without_event, ledger.rows_out_of_date) == ([], [])
        assert ledger.rows_captured_twice == [kept, relabelled], "the price, and the documents say so"
    finally:
        lab.down(report=lambda _: None)


def test_a_large_message_in_the_log_is_nobodys_row(scoring_lab: Lab) -> None:
    with psycopg.connect(scoring_lab.endpoints.postgres, autocommit=True) as connection:
        # Larger than Kafka takes: sent to a topic, it would end the connector.
        connection.execute("SELECT pg_logical_emit_message(true, 'application', repeat('x', 3 * 1024 * 1024))")
    scoring_lab.insert(DIGIT, 3)
    balanced(scoring_lab)
    assert all(status.healthy for status in scoring_lab.status())
