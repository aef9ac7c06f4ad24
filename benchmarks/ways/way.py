"""What every way has in common: it is started, gets rows, and tells when it is done with them."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import psutil
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place

from benchmarks.ways.child import Where
from labkit import Lab, LabError
from labkit.settings import CHECKOUT, PREDICTIONS_TOPIC, CaptureName

PATIENCE_S = 120.0
"""So long may a way stand still before it counts as broken."""
LOOK_S = 0.02
STOP_S = 20.0


class Way(ABC):
    """One way, in a running lab where nothing is captured yet and a model is published.

    Args:
        lab: The lab.

    Attributes:
        name: As figures call it.
        title: What it is, for people.
        capture: What runs Debezium in its lab.
        records: Whether its predictions are recorded in Kafka's predictions topic.
        by_labs_scorer: Whether the lab's own scorer predicts.
        limit: Whether it is only a part of a way, that shows what the parts allow.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    capture: ClassVar[CaptureName] = "connect"
    records: ClassVar[bool] = False
    by_labs_scorer: ClassVar[bool] = False
    limit: ClassVar[bool] = False

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @abstractmethod
    def start(self) -> None:
        """Start all it needs; return when rows may come."""

    @abstractmethod
    def begin(self) -> None:
        """Note where it is, right before rows come."""

    @abstractmethod
    def finish(self, rows: int, committed_s: float) -> tuple[int, float]:
        """Wait until it is done with the rows that have come since `begin`.

        Args:
            rows: How many were committed.
            committed_s: When, seconds since the Unix epoch.

        Returns:
            How many it is done with, and the seconds that took since the commit.

        Raises:
            LabError: It stands still.
        """

    def stop(self) -> None:  # noqa: B027 - most ways have nothing of their own
        """End what `start` started; the lab itself goes afterwards."""

    @property
    def own_pids(self) -> Mapping[str, int]:
        """Processes of its own beside the lab's, by name."""
        return {}

    def processor_s(self) -> dict[str, float]:
        """Processor seconds so far, by process: the lab's, with their children, and its own; nothing for a limit."""
        return {name: _processor_s(pid) for name, pid in self._pids.items()}

    @cached_property
    def _pids(self) -> Mapping[str, int]:
        # Asked for once: to ask how the servers are takes time, and is work for them.
        lab = {status.name: status.pid for status in self.lab.stack.status() if status.pid}
        return {} if self.limit else lab | dict(self.own_pids)


def _processor_s(pid: int) -> float:
    total = 0.0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
    except psutil.NoSuchProcess:
        pass  # It has ended meanwhile: what it took is lost to this account.
    return total


class Recorded(Way):
    """A way whose predictions are records of Kafka's predictions topic, which are counted by the topic's end.

    So the count itself costs next to nothing. It holds where nobody writes transactions there: their marks take
    offsets.
    """

    records = True

    def begin(self) -> None:
        """Note where the predictions end."""
        self._watch = Consumer({"bootstrap.servers": self.lab.kafka, "group.id": "labkit-bench"})
        self._began = self._end()

    def finish(self, rows: int, committed_s: float) -> tuple[int, float]:
        """Wait until as many predictions are recorded as rows have come."""
        recorded, moved = 0, time.time()
        try:
            while recorded < rows:
                time.sleep(LOOK_S)
                now = self._end() - self._began
                if now > recorded:
                    recorded, moved = now, time.time()
                elif time.time() - moved > PATIENCE_S:
                    raise LabError(f"{self.name}: {recorded} of {rows} rows have a prediction, and no more come")
        finally:
            self._watch.close()
        return recorded, moved - committed_s

    def _end(self) -> int:
        return self._watch.get_watermark_offsets(Place(PREDICTIONS_TOPIC, 0), timeout=10)[1]


class Child:
    """A module that runs as a process of its own, and says on its standard output how far it is, as lines of JSON.

    It is there when it has said its first line.

    Args:
        module: The module; see `benchmarks.ways.child` for its side.
        where: What it is told, on its standard input: a command line can be seen by everybody.
        log: Gets what it complains of.
        python: By which Python.
    """

    def __init__(self, module: str, where: Where, log: Path, python: Path = Path(sys.executable)) -> None:
        self._log = log
        with log.open("w") as complaints:
            self._process = subprocess.Popen(
                [str(python), "-m", module],
                stdin=subprocess.PIPE,  # Closed by the system where this process is killed: the child ends, too.
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                cwd=log.parent,  # pydbzengine writes a log there.
                env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            )
        assert self._process.stdin is not None
        print(where.model_dump_json(), file=self._process.stdin, flush=True)
        self._said: queue.SimpleQueue[dict[str, float] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        if self.hear(PATIENCE_S) is None:
            self.stop()
            raise LabError(f"{module} is not ready after {PATIENCE_S:.0f} s", f"see {log}")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def hear(self, timeout_s: float) -> dict[str, float] | None:
        """The next thing it says; None where it says nothing for so long.

        Raises:
            LabError: It has ended.
        """
        try:
            said = self._said.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if said is None:
            raise LabError(
                f"a process of the benchmark has ended with {self._process.wait()}",
                f"its log is in build/bench-logs: {self._log.name}",
            )
        return said

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self._said.put(json.loads(line))
        self._said.put(None)

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
