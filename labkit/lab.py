"""Lab: the one object a notebook holds. It wires the rooms and does nothing else."""

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from labkit.capture.configs import load_config
from labkit.capture.connect import ConnectClient
from labkit.capturing import Captured, Capturing, make_capturing
from labkit.database import DigitTables
from labkit.database.prediction_table import PredictionTable
from labkit.digits import Disturbance, load_kept_digits
from labkit.digits.sources import Split
from labkit.engines.catalog import LOCAL, find_engine, find_packages
from labkit.engines.choice import choose_engine, chosen_engine
from labkit.engines.environment import EngineEnvironment
from labkit.engines.export import current_version
from labkit.engines.left_over import end_on_cluster
from labkit.engines.options import CDC_SLOT
from labkit.engines.place import check_no_place, check_place
from labkit.engines.progress import job_folder
from labkit.engines.reachable import check_reachable
from labkit.errors import LabError
from labkit.ledger import Ledger, take_ledger
from labkit.mending import Mended, mend
from labkit.sender import SampleSender
from labkit.settings import (
    BYTES_ROUTE,
    CAPTURE_ROUTES,
    SCORER,
    TEST_TABLE,
    TRAIN_TABLE,
    CaptureName,
    Endpoints,
    Settings,
    load_endpoints,
    load_settings,
)
from labkit.slots import capture_problem, lost_slots
from labkit.stack.base import Report, ServiceStatus, Stack
from labkit.stack.choice import CAPTURES, make_stack, stop, switch
from labkit.stack.home import prepare_home
from labkit.status import look_at_lab
from labkit.stream.topics import create_topics
from labkit.watch import Watch

if TYPE_CHECKING:
    import keras

    from labkit.capture.event import Operation
    from labkit.model.history import History
    from labkit.model.live_state import CountedDigit, RawRecord, ScoredEvent
    from labkit.model.live_view import LiveView
    from labkit.model.score import ModelName
    from labkit.model.training import Training
    from labkit.widgets import Dashboard

# TensorFlow takes seconds and half a gigabyte: what needs it is imported where it is used, so that `labkit status`
# and its like answer at once.

ROUTES = CAPTURE_ROUTES
MARK_EVERY_S = 1.0
SNAPSHOT_ROWS_A_SECOND = 2_000
"""A snapshot is several times as fast, also on a busy machine."""
TEST_DIGITS = 200


class Lab:
    """The servers, the digits, the model and the screen of one lab.

    Args:
        settings: By default those of this machine and environment.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self.stack: Stack = make_stack(self.settings)
        self._tables: DigitTables | None = None
        self._sender: SampleSender | None = None
        self._view: LiveView | None = None
        self._dashboard: Dashboard | None = None
        self._watch: Watch | None = None
        self._scoring, self._scoring_asked_at = False, float("-inf")

    def __repr__(self) -> str:
        try:
            return f"Lab at {self.settings.home}, Kafka at {self.endpoints.kafka}"
        except LabError as error:
            return f"Lab at {self.settings.home}: {error.problem}"

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers answer.

        Raises:
            LabError: The lab has not been started.
        """
        return load_endpoints(self.settings)

    @property
    def _kept_digits(self) -> Path:
        return self.settings.cache_dir / "digits"

    @property
    def kafka(self) -> str:
        """Kafka's bootstrap server, ``host:port``."""
        return self.endpoints.kafka

    @property
    def tables(self) -> DigitTables:
        """The digit tables."""
        if self._tables is None:
            self._tables = DigitTables(self.endpoints)
        return self._tables

    @property
    def connect(self) -> ConnectClient:
        """Kafka Connect's REST interface.

        Raises:
            LabError: This lab captures with Debezium Server, and has no Connect.
        """
        if self.endpoints.capture == "server":
            raise LabError(
                "this lab captures with Debezium Server and has no Kafka Connect", "labkit up --capture connect"
            )
        # A connector starts within a part of the time that a whole server may take.
        return ConnectClient(self.endpoints.connect, patience_s=self.settings.start_timeout_s / 4)

    @property
    def _capturing(self) -> Capturing:
        """What runs Debezium in this lab."""
        # A connector starts within a part of the time that a whole server may take.
        return make_capturing(self.endpoints, self.settings, self.stack, self.settings.start_timeout_s / 4)

    def _captured_before(self) -> list[str] | None:
        """Routes that are captured, whoever did it; None where nobody has noted it, and Connect itself knows."""
        noted = Captured(self.settings).routes()
        if noted is None and self.endpoints.capture == "server":
            # A lab of an older labkit: a route that was captured has left its slot.
            slots = self.tables.slots()
            return [route for route in ROUTES if load_config(route, self.endpoints, self.settings).slot in slots]
        return noted

    def up(self, report: Report = print) -> "Lab":
        """Start the servers that do not run yet; make tables, roles and topics where they are missing.

        Running it again is harmless and quick. Returns itself.

        Raises:
            LabError: Something on this machine is in the way; the message says what and how to mend it.
        """
        prepare_home(self.settings)
        switch(self.settings, report)
        self.stack = make_stack(self.settings)  # Somebody may have chosen anew since this object was made.
        self.stack.up(report)
        self.tables.setup()
        create_topics(self.endpoints, self.settings.partitions)
        captured = self._captured_before()
        self._capturing.resume(captured)
        for route in captured or ():
            Captured(self.settings).add(route)
        if self._has_model():
            self.stack.start_service(SCORER)
        return self

    def down(self, *, keep_data: bool = False, report: Report = print) -> None:
        """Stop everything; delete the lab's folder with all rows, too, unless told to keep the data."""
        self.close()
        stop(self.settings, keep_data=keep_data, report=report)

    def close(self) -> None:
        """Let go of the servers without stopping them."""
        if self._dashboard is not None:
            self._dashboard.close()
            self._dashboard = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        if self._view is not None:
            self._view.stop()
            self._view = None
        if self._sender is not None:
            self._sender.stop()
            self._sender = None
        if self._tables is not None:
            self._tables.close()
            self._tables = None

    def load_digits(
        self,
        source: str = "bundled",
        *,
        augment: int | None = None,
        test: int = TEST_DIGITS,
        report: Report = print,
    ) -> str:
        """Fill the tables with a source's digits by COPY, unless they hold some already.

        Args:
            source: ``bundled`` or ``mnist``.
            augment: Varied copies of each training digit; by default as many as the source needs.
            test: How many test digits; none of them is a training digit.
            report: Told what is done, where something is to do: it takes some seconds.

        Returns:
            One line that says what the tables hold.

        Raises:
            LabError: An unknown source, MNIST cannot be downloaded, or PostgreSQL is away.
        """
        splits: Mapping[str, Split] = {TRAIN_TABLE: "train", TEST_TABLE: "test"}
        for table, split in splits.items():
            if self.tables.count(table) == 0:
                if split == "train":
                    report(f"digits: preparing and inserting the {source} ones, ten seconds or more")
                copies = augment if split == "train" else None
                digits = load_kept_digits(self._kept_digits, source, split, copies)
                self.tables.copy(digits.take(test) if split == "test" else digits, table)
        return ", ".join(f"{table}: {self.tables.count(table):,} digits" for table in (TRAIN_TABLE, TEST_TABLE))

    def capture(self, *routes: str) -> None:
        """Capture the tables by the named routes, all of the lab's own by default. Repeating it is harmless.

        Kafka Connect gets a connector for each, or else Debezium Server runs for each, see `Settings.capture`.

        It starts the scorer, too, which takes seconds to load TensorFlow: by the first published model it is ready.

        Raises:
            LabError: An unknown route, or Debezium refused.
        """
        routes, captured = routes or ROUTES, Captured(self.settings)
        for route in routes:
            if not captured.has(route):
                self._capturing.forget(route)
        self._capturing.start(*routes)
        for route in routes:
            captured.add(route)
        self.stack.start_service(SCORER)

    def capture_by(self, capture: CaptureName, report: Report = print) -> "Lab":
        """Let Kafka Connect or Debezium Server capture from now on, and wait until it does. The lab remembers it.

        Where that is a change, the servers are started anew. Rows, topics and routes stay, and each route goes on where
        it was; only the route without Kafka waits while Connect captures. A lab that is down is started. This object's
        dashboard and sender are stopped.

        Returns itself.

        Raises:
            LabError: No such thing captures; or as of `up`; or a route does not run in time.
        """
        if capture not in CAPTURES:
            raise LabError(f"nothing that captures is called {capture!r}", f"one of {', '.join(CAPTURES)}")
        self.close()
        lab = Lab(self.settings.model_copy(update={"capture": capture})).up(report)
        lab.close()
        self.settings, self.stack = lab.settings, lab.stack
        self._capturing.wait(*(Captured(self.settings).routes() or ()))
        return self

    def release(self, route: str) -> None:
        """End the capture by a route and remove its replication slot, which would otherwise keep WAL for ever.

        Captured again, the route begins anew with a snapshot, and records again what it had recorded.
        """
        connector = load_config(route, self.endpoints, self.settings)
        self._capturing.stop(route)
        Captured(self.settings).remove(route)
        self._drop_slot(connector.slot)

    def _drop_slot(self, slot: str) -> None:
        """Remove a replication slot that nobody reads any more; its reader may need a moment to let go."""
        deadline = time.monotonic() + 10
        while slot in self.tables.slots():
            self.tables.drop_slot(slot)
            if time.monotonic() > deadline:
                raise LabError(
                    f"replication slot {slot!r} is still read by {self.tables.slot_reader(slot)}",
                    "end that program, or SELECT pg_terminate_backend(…) with that number; then the same again",
                )
            time.sleep(0.2)

    def train(
        self,
        *,
        route: str = "csv",
        seed: int | None = None,
        epochs: int = 30,
        verbose: int | str = 0,
        report: Report | None = None,
    ) -> "Training":
        """Train the talk's network from the training topic.

        Args:
            route: ``csv``, as in the talk: TensorFlow reads lines of text, each record ever written. Or ``bytes``: each
                row once, as it is in the table when this is called, relabelled and deleted ones, too; without text,
                so quicker.
            seed: Makes the training repeatable.
            epochs: How often each digit is learned from.
            verbose: What Keras itself shows, see `keras.Model.fit`.
            report: Told how far it is, a line every ten epochs.

        Raises:
            LabError: There are no training digits, they do not come to Kafka, or there is no such route.
        """
        from labkit.model.whole_import import import_whole

        if route not in ROUTES:
            raise LabError(f"nothing can be trained from route {route!r}", f"one of {', '.join(ROUTES)}")
        rows = self.tables.count(TRAIN_TABLE)
        if rows == 0:
            raise LabError(f"{TRAIN_TABLE} is empty", "lab.load_digits() or: labkit train --load bundled")
        import_whole("labkit.model.training")
        from labkit.model.training import train_from_rows, train_from_topic
        from labkit.settings import CSV_PREFIX, table_topic
        from labkit.stream.reading import wait_for_records

        if route == BYTES_ROUTE:
            self.wait_captured(60.0 + rows / SNAPSHOT_ROWS_A_SECOND)
            rows = self.tables.count(TRAIN_TABLE)  # Some may have been deleted meanwhile, and would never come.
            return train_from_rows(self.kafka, rows, epochs=epochs, seed=seed, verbose=verbose, report=report)
        wait_for_records(self.kafka, table_topic(CSV_PREFIX, TRAIN_TABLE), rows)
        return train_from_topic(self.kafka, epochs=epochs, seed=seed, verbose=verbose, report=report)

    def publish(self, model: "keras.Model") -> str:
        """Make a model the one that scores, and see that the scorer runs. Returns the model's version.

        Raises:
            LabError: The model does not take digits.
        """
        from labkit.model.store import ModelStore

        version = ModelStore(self.settings.home / "models").publish(model)
        self.stack.start_service(SCORER)
        return version

    def prepare(self, report: Report = print) -> "Lab":
        """Do what the first notebook does, where it has not been done: a running lab that captures and scores digits.

        Returns itself.

        Raises:
            LabError: As of `up`, `load_digits`, `capture` and `train`.
        """
        self.up(report)
        report(self.load_digits(report=report))
        report(f"connectors: registering {' and '.join(ROUTES)}")
        self.capture()
        if not self._has_model():
            report("training the first model from Kafka: half a minute, longer on a busy machine")
            self.publish(self.train(report=report).model)
        return self

    def _has_model(self) -> bool:
        """Whether a model has been published: read from its note, without loading TensorFlow."""
        return current_version(self.settings.home / "models") is not None

    def insert(self, pixels: npt.NDArray[np.uint8], label: int | None) -> int:
        """Insert one digit into ``mnist_test``; returns its row id."""
        return self.tables.insert(pixels, label)

    def relabel(self, row_id: int, label: int | None) -> None:
        """Say what a digit in ``mnist_test`` really is."""
        self.tables.relabel(row_id, label)

    def delete(self, row_id: int) -> None:
        """Delete a digit from ``mnist_test``."""
        self.tables.delete(row_id)

    @property
    def sender(self) -> SampleSender:
        """Sends bundled test digits."""
        if self._sender is None:
            self._sender = SampleSender(self.tables, load_kept_digits(self._kept_digits, "bundled", "test"))
        return self._sender

    def start_sending(self, rate: float, how: Disturbance = "clean", strength: float = 0.0) -> None:
        """Insert test digits in the background, ``rate`` a second, until `stop_sending`.

        Args:
            rate: Digits a second, 0.001 to 1000.
            how: ``clean``, ``noisy``, ``rotated``, ``thick`` or ``hand``.
            strength: How much of it: 0 for none, 1 for the most, see `labkit.digits.disturb`.

        Raises:
            LabError: One of them makes no sense.
        """
        self.sender.start(rate, how, strength)

    def stop_sending(self) -> None:
        """Stop inserting test digits."""
        if self._sender is not None:
            self._sender.stop()

    @property
    def sending(self) -> bool:
        """Whether test digits are being inserted in the background."""
        return self._sender is not None and self._sender.sending

    @property
    def sending_problem(self) -> str:
        """Why sending ended by itself; empty where it did not."""
        return "" if self._sender is None else self._sender.problem

    def start_scorer(self) -> None:
        """Start the scorer, unless it runs. It goes on behind the last prediction that is recorded."""
        self.stack.start_service(SCORER)

    def score_by(self, engine: str, master: str = "", parallelism: int | None = None) -> None:
        """Let the lab's own scorer or another engine score from now on.

        Those that read Kafka take turns, and each goes on where the one before was. ``flink-cdc`` reads PostgreSQL and
        writes to the table ``predictions``: it scores beside the others until `stop_engine`.

        Args:
            engine: ``local``, or an engine that is installed, such as ``spark``.
            master: Where the engine runs: ``local[2]`` by default, or the address of a cluster.
            parallelism: Threads, or of a cluster cores (Spark) or task slots (Flink), at most; by default as many as
                can share the work.

        Raises:
            LabError: There is no such engine or place, ``local`` has none, the engine is not installed, its cluster
                does not answer, the lab is not up, or a job that was left on a cluster does not end.
        """
        choice = chosen_engine(self.settings)
        found = None if engine == LOCAL else find_engine(engine)
        if found is None:
            check_no_place(master, parallelism)
        service = SCORER if found is None else found.service
        before = choice.engine if service == SCORER else engine
        place_before = choice.place_of(before)
        if found is not None:
            place = check_place(found, master, parallelism)
            EngineEnvironment(found.packages, self.settings).check()
            check_reachable(found, place)
            choice.places[engine] = place
        _ = self.endpoints  # Raises where the lab is not up.
        runs = self.stack.is_running(service)
        self.stack.stop_service(service)
        end_on_cluster(self.settings, before, place_before)
        if service == SCORER:
            choice.engine = engine
        else:
            PredictionTable(self.endpoints).setup()
        choose_engine(self.settings, choice)
        if runs or self._has_model():
            self.stack.start_service(service)

    def install_engine(self, engine: str, report: Report = print) -> None:
        """Make the environment of an engine, unless it is there. What it takes is told first.

        Raises:
            LabError: There is no such engine, the disk is too full, or something could not be fetched.
        """
        EngineEnvironment(find_packages(engine), self.settings).install(report)

    def stop_engine(self, engine: str, *, forget: bool = False) -> None:
        """Stop an engine that scores beside the others. It leaves a savepoint, from which it goes on the next time.

        Args:
            engine: ``flink-cdc``.
            forget: Remove its replication slot and its checkpoints, too: scoring again, it begins with a snapshot.

        Raises:
            LabError: It is no such engine; its slot is still in use; or a job that was left on a cluster does not end.
        """
        found = find_engine(engine)
        if found.service == SCORER:
            raise LabError(f"{engine} takes turns with the lab's own scorer", f"labkit engine use {LOCAL}")
        self.stack.stop_service(found.service)
        end_on_cluster(self.settings, engine, chosen_engine(self.settings).place_of(engine))
        if forget:
            self._drop_slot(CDC_SLOT)
            shutil.rmtree(job_folder(self.settings, found.name), ignore_errors=True)

    def stop_scorer(self) -> None:
        """Stop the scorer. Events wait in Kafka meanwhile."""
        self.stack.stop_service(SCORER)

    @property
    def scoring(self) -> bool:
        """Whether the scorer runs; asked at most once a second."""
        if time.monotonic() - self._scoring_asked_at > 1.0:
            self._scoring = self.stack.is_running(SCORER)
            self._scoring_asked_at = time.monotonic()
        return self._scoring

    def reset_scores(self) -> None:
        """Begin the scores anew, on every screen of this lab. No prediction is lost; the ledger counts them all."""
        from labkit.model.prediction_records import reset_scores

        reset_scores(self.kafka)

    def digits_of(self, label: int, predicted: int, model: "ModelName" = "frozen") -> "list[CountedDigit]":
        """The newest digits with this label of which a model said this, newest first, at most a dozen.

        Raises:
            LabError: PostgreSQL is away.
        """
        from labkit.model.live_state import CountedDigit

        rows = self.view.rows_of(label, predicted, model)
        pixels = self.tables.pixels(rows)
        return [CountedDigit(row_id, pixels[row_id]) for row_id in rows if row_id in pixels]

    @property
    def history(self) -> "History":
        """The past of the stream, read back from Kafka."""
        from labkit.model.history import History

        return History(self.kafka)

    def record(self, table: str, partition: int, offset: int) -> "RawRecord":
        """One change event's record as Kafka holds it.

        Raises:
            LabError: There is none of that offset, or the broker is away.
        """
        return self.history.record(table, partition, offset)

    def older_events(
        self,
        table: str | None,
        operation: "Operation | None",
        before: Mapping[str, Mapping[int, int]],
        before_ms: float | None,
        count: int,
    ) -> "list[ScoredEvent]":
        """The newest change events before given places, newest first; see `labkit.model.history.History.older`."""
        return self.history.older(table, operation, before, before_ms, count)

    @property
    def view(self) -> "LiveView":
        """The live view of events, predictions and score, read in the background from the first use on."""
        if self._view is None:
            from labkit.model.live_view import LiveView

            self._view = LiveView(self.kafka).start()
        return self._view

    def dashboard(self) -> "Dashboard":
        """The dashboard, for the last line of a cell. One made before is closed; its last picture stays."""
        from labkit.widgets import Dashboard

        if self._dashboard is not None:
            self._dashboard.close()
        self._dashboard = Dashboard(self, self.view.state, self.view.wait)
        return self._dashboard

    def ledger(self, wait_s: float = 0.0) -> Ledger:
        """Balance rows against events against predictions.

        Args:
            wait_s: Wait at most this long until all that was sent has arrived, seconds.
        """
        deadline = time.monotonic() + wait_s
        while True:
            worked = time.thread_time()
            ledger = take_ledger(self.tables, self.kafka)
            if ledger.lost == 0 or time.monotonic() > deadline:
                return ledger
            _pause(0.3, worked)

    def settle(self, timeout_s: float = 60.0) -> Ledger:
        """Wait until all that was committed is captured, scored, and read by this process's live view.

        Returns:
            The ledger then.

        Raises:
            LabError: Nothing captures, or something has not arrived in time.
        """
        self.wait_captured(timeout_s)
        ledger = self.ledger(wait_s=timeout_s)
        if ledger.lost:
            raise LabError(f"{ledger.lost} changes have not arrived after {timeout_s:.0f} s", "labkit status")

        def caught_up() -> bool:
            state = self.view.state()
            return state.events_seen >= ledger.events and state.predictions_seen >= ledger.predictions

        self.wait_until(caught_up, "the live view has read all of it", timeout_s)
        return ledger

    def wait_captured(self, timeout_s: float = 60.0) -> None:
        """Wait until Kafka has all that was committed by now.

        Also rows that were inserted and deleted meanwhile, of which no table tells: the replication slot must have been
        confirmed up to where PostgreSQL's write-ahead log ends now, which the next heartbeat brings about.

        Raises:
            LabError: Nothing captures, or it took longer.
        """
        slot = load_config(BYTES_ROUTE, self.endpoints, self.settings).slot
        committed, marked_s = self.tables.mark_log(), time.monotonic()

        def captured() -> bool:
            nonlocal marked_s
            if time.monotonic() - marked_s > MARK_EVERY_S:
                # A mark from before a snapshot's beginning never comes, and a confirmation may fail.
                self.tables.mark_log()
                marked_s = time.monotonic()
            confirmed = self.tables.confirmed(slot)
            if confirmed is None:
                raise LabError(f"route {BYTES_ROUTE!r} has no replication slot: nothing captures", "lab.capture()")
            return confirmed >= committed

        self.wait_until(captured, "what was committed is captured", timeout_s)

    def mend(self, wait_s: float = 60.0, report: Report = print) -> Mended:
        """Mend what the ledger finds missing, and count again; see `labkit.mending.mend`.

        Args:
            wait_s: How long what is under way may take, seconds.
            report: Told of each step.

        Raises:
            LabError: A server is away, or Debezium refused.
        """

        def read_anew(route: str) -> None:
            self.release(route)
            try:
                self.capture(route)
            except BaseException:
                # Noted as captured, it counts as lost, and the next time it is mended.
                Captured(self.settings).add(route)
                raise

        def settled_ledger() -> Ledger:
            self.wait_captured(wait_s)
            deadline = time.monotonic() + wait_s
            while True:
                worked = time.thread_time()
                ledger = self.ledger()
                if not (ledger.events_without_prediction and self.scoring) or time.monotonic() > deadline:
                    return ledger
                _pause(0.3, worked)

        return mend(
            lambda: lost_slots(self.tables, self.settings),
            self._capturing.restart_failed,
            read_anew,
            settled_ledger,
            self.tables,
            report,
        )

    @property
    def capture_problem(self) -> str:
        """What keeps changes from being captured; empty where all is well. Looked at in the background."""
        if self._watch is None:
            endpoints, settings = self.endpoints, self.settings
            capturing = make_capturing(endpoints, settings, self.stack, patience_s=0.0)

            def look() -> str:
                with closing(DigitTables(endpoints, patience_s=0.0)) as tables:
                    return capture_problem(tables, capturing, settings)

            self._watch = Watch(look)
        return self._watch.problem

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Wait until something is so.

        Raises:
            LabError: It was not so in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            worked = time.thread_time()
            if condition():
                return
            if time.monotonic() > deadline:
                raise LabError(f"waited {timeout_s:.0f} s in vain: {what}", "labkit status")
            _pause(0.05, worked)

    def status(self) -> list[ServiceStatus]:
        """How each server, each connector and each job is; an empty list where nothing runs."""
        return look_at_lab(self.stack, lambda: self._capturing, lambda: self.tables, self.settings)


def _pause(least_s: float, worked: float) -> None:
    """Wait before looking again, as long as the look itself worked: what is waited for needs the processor, too.

    Args:
        least_s: Seconds at least.
        worked: This thread's processor time before the look, seconds.
    """
    time.sleep(max(least_s, time.thread_time() - worked))
