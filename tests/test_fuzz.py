"""Whatever comes in at an edge is taken for what it is, or refused by a `LabError`; nothing else is raised there."""

import contextlib
import json
import math
import pickle
import string
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psycopg
import pytest
import traitlets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labkit import Lab
from labkit.capture.event import OPERATION_NAMES
from labkit.digits import Digits, check_label, check_pixels
from labkit.errors import LabError
from labkit.ledger import balance
from labkit.model.checkpoint import CheckpointError, CheckpointFile
from labkit.model.prediction_records import decode_prediction
from labkit.model.store import ModelStore
from labkit.settings import Endpoints, Settings, endpoints_file, load_endpoints, load_settings, write_endpoints
from labkit.stream.events import NotADigitError, decode_event
from labkit.stream.record import Record
from labkit.widgets.control_bar import ControlBar
from labkit.widgets.draw_pad import DrawPad
from labkit.widgets.event_feed import EventFeed
from labkit.widgets.prediction_card import PredictionCard
from labkit.widgets.request_widget import RequestWidget
from labkit.widgets.scoreboard import Scoreboard
from tests.fakes import Calls

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["seq", "action", "strokes", "width", "label", "table", "row_id", "rate", "how", "strength", "model", "predicted"]
)
WORDS = st.sampled_from(["start", "stop", "relabel", "delete", "mnist_test", "clean", "rotated", "frozen", "older"])
REQUESTS = JSON | st.dictionaries(NAMES, JSON | WORDS | st.integers(0, 9), max_size=8)
STROKES = st.lists(st.lists(st.lists(st.floats(), max_size=3), max_size=4), max_size=3)
HEADERS = ("__op", "__after_label", "__before_label", "__source_lsn", "__source_txId", "__source_ts_us", "__ts_us")
TEXTS = st.binary(max_size=12) | st.sampled_from([b"c", b"r", b"u", b"d", b"7", b"-1", b"1e3", "٣".encode(), b" 5 "])
SETTINGS = st.dictionaries(
    st.sampled_from(["kafka_port", "home", "stack", "heartbeat_ms", "odd"]),
    st.booleans()
    | st.integers(-10, 10**6)
    | st.text(string.ascii_letters, max_size=8)
    | st.lists(st.integers(), max_size=2),
).map(lambda values: "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record, more or less as Debezium writes them."""
    value = draw(st.none() | st.just(bytes(784)) | st.binary(max_size=900))
    headers = [(name, draw(st.none() | TEXTS)) for name in draw(st.lists(st.sampled_from(HEADERS), max_size=9))]
    return Record("lab.public.mnist_test", 0, 3, 1.5, draw(st.none() | TEXTS), value, headers)


@given(records())
def test_a_record_is_a_change_event_or_no_digit(record: Record) -> None:
    try:
        event = decode_event(record)
    except NotADigitError:
        return
    assert event.operation in OPERATION_NAMES and (event.pixels is None) == (event.operation == "d")
    assert event.label in (None, *range(10)) and event.before_label in (None, *range(10))
    assert math.isfinite(event.committed_ms) and math.isfinite(event.captured_ms)
    balance({}, [event], [])


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | st.just(pickle.dumps({"label": 3})))
def test_a_prediction_is_one_or_is_refused(value: bytes) -> None:
    record: Any = Record("predictions", 0, 3, 1.5, b"7", value, [])
    with contextlib.suppress(LabError):
        decode_prediction(record)


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.int64, np.float64, np.bool_, np.complex64]),
        st.sampled_from([(28, 28), (784,), (28, 27), (), (0,), (1, 28, 28)]),
    )
    | st.binary(max_size=800)
    | JSON
)
def test_pixels_are_an_image_or_are_refused(pixels: Any) -> None:
    try:
        image = check_pixels(pixels)
    except LabError:
        return
    assert image.shape == (28, 28) and image.dtype == np.uint8
    given_values = np.frombuffer(pixels, np.uint8) if isinstance(pixels, bytes) else np.asarray(pixels)
    assert np.array_equal(image.ravel(), given_values.ravel())


@given(JSON | st.sampled_from([np.int64(3), np.float32(3), "3", True, 10, -1]))
def test_a_label_is_one_or_is_refused(label: Any) -> None:
    try:
        assert check_label(label) == label and not isinstance(label, bool)
    except LabError:
        assert label is not None and (type(label) is not int or not 0 <= label <= 9)


@pytest.fixture(scope="module")
def widgets() -> list[RequestWidget]:
    """Every widget that takes requests, connected to actions that only note what was asked."""
    calls = Calls()
    pad = DrawPad(lambda _pixels, _label: "sent")
    return [
        pad,
        ControlBar(calls),
        EventFeed(calls),
        PredictionCard(calls.relabel, calls.delete),
        Scoreboard(calls.digits_of),
    ]


@given(REQUESTS, st.integers(0, 2**40))
def test_whatever_a_page_asks_for_is_answered_in_the_status_line(
    widgets: list[RequestWidget], request_: Any, seq: int
) -> None:
    for widget in widgets:
        with widget.updating():
            widget.status, widget.status_kind = "", "info"
        if isinstance(request_, dict) and "seq" not in request_:
            request_ = request_ | {"seq": seq}
        before, known = widget.outbox, list(widget._handled)
        widget.set_state({"outbox": request_})
        assert not widget.busy and not widget.status.startswith("unexpected "), widget.status
        if request_ != before and not (isinstance(request_, dict) and request_.get("seq") in known):
            assert widget.status_kind in ("ok", "error") and widget.status


@given(STROKES | JSON, st.floats())
def test_whatever_is_drawn_is_shown_or_told(strokes: Any, width: float) -> None:
    pad = DrawPad()
    with contextlib.suppress(traitlets.TraitError):  # It refuses what is no list of lists.
        pad.set_state({"strokes": strokes, "width": width})
    assert len(pad.preview) in (0, 784) and not pad.status.startswith("unexpected "), pad.status
    pad.close()


@FEW
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_endpoints_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    lab_settings = Settings(home=tmp_path)
    endpoints_file(lab_settings).write_bytes(content)
    with pytest.raises(LabError, match="endpoints.json"):
        load_endpoints(lab_settings)


@FEW
@given(st.dictionaries(st.sampled_from(list(Endpoints.model_fields)), JSON, max_size=6))
def test_a_damaged_line_of_the_endpoints_shows_no_password(tmp_path: Path, damage: dict[str, Any]) -> None:
    lab_settings = Settings(home=tmp_path)
    whole = Endpoints(
        postgres_port=1,
        kafka_port=2,
        connect_port=3,
        source_port=4,
        admin_password="s3cret",
        capture_password="t0ps3cret",
    )
    write_endpoints(lab_settings, whole)
    assert endpoints_file(lab_settings).stat().st_mode & 0o077 == 0
    content = json.loads(endpoints_file(lab_settings).read_text()) | damage
    endpoints_file(lab_settings).write_text(json.dumps(content))
    try:
        found = repr(load_endpoints(lab_settings))
    except LabError as error:
        found = str(error)
    assert "s3cret" not in found


@FEW
@given(st.text(max_size=200) | SETTINGS)
def test_settings_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    file = tmp_path / "labkit.toml"
    file.write_text(content, encoding="utf-8", errors="replace")
    monkeypatch.setitem(Settings.model_config, "toml_file", file)
    with contextlib.suppress(LabError):
        load_settings.__wrapped__()


@FEW
@given(st.text(string.printable, max_size=12))
def test_a_setting_of_the_environment_is_taken_or_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("LABKIT_KAFKA_PORT", "LABKIT_STACK", "LABKIT_HEARTBEAT_MS", "LABKIT_CAPTURE_COMPILER_LEVEL"):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with contextlib.suppress(LabError):
                load_settings.__wrapped__()


class Bomb:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_no_file_of_a_model_runs_anything(tmp_path: Path) -> None:
    store, trace = ModelStore(tmp_path / "models"), tmp_path / "it ran"
    (tmp_path / "models").mkdir()
    file = tmp_path / "models" / "v1.keras"
    file.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(LabError, match="model v1 cannot be loaded"):
        store.load("v1")

    name = str(trace)
    marshalled = keras.Sequential(
        [keras.layers.Input((784,)), keras.layers.Lambda(lambda x: (open(name, "w").close(), x[:, :10])[1])]
    )
    trace.unlink(missing_ok=True)  # To build it runs it.
    marshalled.save(file)
    with pytest.raises(LabError, match="model v1 cannot be loaded"):
        store.load("v1")

    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", '{"module": "os", "class_name": "system", "config": {"command": "true"}}')
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    with pytest.raises(LabError, match="model v1 cannot be loaded"):
        store.load("v1")

    checkpoint = CheckpointFile(tmp_path / "learner.checkpoint")
    np.save(tmp_path / "bomb.npy", np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    checkpoint.path.write_bytes((tmp_path / "bomb.npy").read_bytes())
    with pytest.raises(CheckpointError):
        checkpoint.load()
    assert not trace.exists()


@FEW
@given(st.binary(max_size=300))
def test_a_file_that_is_no_model_and_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v1.keras").write_bytes(content)
    with pytest.raises(LabError):
        ModelStore(tmp_path).load("v1")
    checkpoint = CheckpointFile(tmp_path / "learner.checkpoint")
    checkpoint.path.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.load()


@FEW
@given(
    st.binary(min_size=784, max_size=784),
    st.none() | st.integers(-2, 11) | st.text(max_size=20) | st.floats(),
    st.sampled_from(["mnist_test", "mnist_train", "mnist_test; DROP TABLE mnist_test", 'pg_class"', "", "\x00"]),
    # No row of the others' has such an id.
    st.integers(-(2**40), 0) | st.integers(2**30, 2**40),
)
def test_what_is_written_is_read_back_or_refused(lab: Lab, pixels: bytes, label: Any, table: str, row_id: int) -> None:
    tables = lab.tables
    try:
        written = tables.insert(pixels, label, table)
    except LabError:
        assert label not in (None, *range(10)) or table not in ("mnist_test", "mnist_train")
    else:
        assert tables.image(written, table).tobytes() == pixels and tables.labels(table)[written] == label
        tables.delete(written, table)
    with contextlib.suppress(LabError):
        tables.relabel(row_id, label, table)
    with contextlib.suppress(LabError):
        tables.image(row_id, table)
    with psycopg.connect(lab.endpoints.postgres) as connection:
        assert connection.execute("SELECT to_regclass('mnist_test') IS NOT NULL").fetchone() == (True,)


@FEW
@given(
    st.integers(0, 3).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, 255), min_size=n, max_size=n)))
)
def test_copied_labels_are_digits_or_nothing_is_copied(lab: Lab, drawn: tuple[int, list[int]]) -> None:
    count, labels = drawn
    before = lab.tables.count("mnist_test")
    digits = Digits(np.zeros((count, 28, 28), np.uint8), np.array(labels, np.uint8), "fuzz")
    try:
        ids = lab.tables.copy(digits, "mnist_test")
    except LabError:
        assert any(label > 9 for label in labels)
        assert lab.tables.count("mnist_test") == before
        return
    assert all(label <= 9 for label in labels) and lab.tables.count("mnist_test") == before + count
    for row_id in ids:
        lab.tables.delete(row_id)
