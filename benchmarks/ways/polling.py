"""Polling: a process asks the table for new rows, again and again. As a program it is that process.

It sees neither updates nor deletes, and would pass over a row whose transaction ends after that of a row with a later
id: it is here for its speed alone.
"""

import time

import numpy as np
import psycopg

from benchmarks.ways.child import Where, tell, told
from benchmarks.ways.inserted import encoded_insert
from benchmarks.ways.way import Child, Recorded
from labkit.model.prediction import recorded
from labkit.settings import PREDICTIONS_TOPIC
from labkit.stream.librdkafka import SwiftWriter

NEW_ROWS = "SELECT id, label, pixels FROM mnist_test WHERE id > %s ORDER BY id LIMIT 2048"
PAUSE_S = 0.005
"""Between two questions that found nothing: as often as labkit's connector looks for changes."""


class Polling(Recorded):
    """Asking the table."""

    name = "polling"
    title = "no Debezium: a process that asks the table for new rows every 5 ms"

    def start(self) -> None:
        """Let the process ask."""
        where = Where(
            kafka=self.lab.kafka,
            postgres=self.lab.endpoints.postgres,
            models=self.lab.settings.home / "models",
        )
        self._child = Child("benchmarks.ways.polling", where, self.lab.settings.home / "logs" / "polling.log")

    def stop(self) -> None:
        """End the process."""
        self._child.stop()

    @property
    def own_pids(self) -> dict[str, int]:
        """The process that asks."""
        return {"poller": self._child.pid}


def main() -> None:
    """Ask without end."""
    from labkit.model.inference import compile_predict, single_thread
    from labkit.model.store import ModelStore

    where = told()
    single_thread()
    store = ModelStore(where.models)
    version = store.current_version() or ""
    predict = compile_predict(store.load(version))
    writer = SwiftWriter(where.kafka)
    last = 0
    with psycopg.connect(where.postgres, autocommit=True) as connection:
        tell(rows=0)
        while True:
            rows = connection.execute(NEW_ROWS, [last], binary=True).fetchall()
            if not rows:
                time.sleep(PAUSE_S)
                continue
            read_ms = time.time() * 1000
            images = np.frombuffer(b"".join(pixels for _, _, pixels in rows), np.uint8).reshape(-1, 784)
            answers = recorded(predict(images))
            predicted_ms = time.time() * 1000
            encoded = (
                encoded_insert(
                    row_id, label, answer, version, committed_ms=read_ms, read_ms=read_ms, predicted_ms=predicted_ms
                )
                for (row_id, label, _), answer in zip(rows, answers, strict=True)
            )
            writer.write(PREDICTIONS_TOPIC, ((0, key, value) for key, value in encoded))
            last = rows[-1][0]


if __name__ == "__main__":
    main()
