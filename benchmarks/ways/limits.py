"""What the parts of the way allow, each alone: PostgreSQL's decoding, and reading and predicting."""

import os
import subprocess
import time

import numpy as np
import psycopg

from benchmarks.ways.way import PATIENCE_S, Way
from labkit import LabError
from labkit.database.schema import PUBLICATION
from labkit.settings import BYTES_PREFIX, LOOPBACK, TEST_TABLE, table_topic
from labkit.stack import postgres
from labkit.stream.librdkafka import SwiftReader
from labkit.stream.topics import offset_range

SLOT = "bench"
TOPIC = table_topic(BYTES_PREFIX, TEST_TABLE)


class Decoding(Way):
    """PostgreSQL's own client drains a slot, and throws away what it gets."""

    name = "pg_recvlogical"
    title = "the limit of decoding: PostgreSQL's pg_recvlogical with pgoutput, to nowhere, started at the commit"
    limit = True

    def start(self) -> None:
        """Make the slot."""
        with psycopg.connect(self.lab.endpoints.postgres, autocommit=True) as connection:
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [SLOT])

    def begin(self) -> None:
        """Nothing: the slot itself knows where it is."""

    def finish(self, rows: int, committed_s: float) -> tuple[int, float]:
        """Drain the slot; it begins to be read when the rows are committed."""
        with psycopg.connect(self.lab.endpoints.postgres, autocommit=True) as connection:
            ((end,),) = connection.execute("SELECT pg_current_wal_lsn()::text").fetchall()
        endpoints = self.lab.endpoints
        command = [
            *(str(postgres.place(self.lab.settings).programs / "pg_recvlogical"), "--start", f"--slot={SLOT}"),
            *("--file=/dev/null", f"--endpos={end}", "--option=proto_version=1"),
            *(f"--option=publication_names={PUBLICATION}", f"--host={LOOPBACK}", f"--port={endpoints.postgres_port}"),
            *(f"--username={endpoints.admin_user}", f"--dbname={endpoints.database}"),
        ]
        done = subprocess.run(
            command,
            env=os.environ | {"PGPASSWORD": endpoints.admin_password},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        if done.returncode:
            raise LabError(f"pg_recvlogical: {done.stderr.strip()}")
        return rows, time.time() - committed_s


class Predicting(Way):
    """Events that are in Kafka already are read and predicted, and nothing is recorded."""

    name = "bare consumer"
    title = "the limit of reading: raw bytes that are in Kafka already, to arrays, through the network"
    limit = True

    def start(self) -> None:
        """Capture, and compile the network."""
        from labkit.model.inference import compile_predict
        from labkit.model.network import build_network

        self.lab.capture("bytes")
        self._predict = compile_predict(build_network(seed=1))

    def begin(self) -> None:
        """Note where the events end."""
        self._ends = {partition: end for partition, (_, end) in offset_range(self.lab.kafka, TOPIC).items()}

    def finish(self, rows: int, committed_s: float) -> tuple[int, float]:
        """Wait until all are captured, and only then read them."""
        self._wait_captured(rows)
        reader = SwiftReader(self.lab.kafka, self._ends)
        began, seen = time.time(), 0
        try:
            while seen < rows:
                records = reader.poll(PATIENCE_S, 2048)
                if not records:
                    raise LabError(f"{self.name}: {seen} of {rows} events can be read")
                pixels = b"".join(record.value or b"" for record in records)
                self._predict(np.frombuffer(pixels, np.uint8).reshape(-1, 784))
                seen += len(records)
        finally:
            reader.close()
        return seen, time.time() - began

    def _wait_captured(self, rows: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        # Each transaction's mark takes an offset, too: so many offsets are enough, and the rest comes while it reads.
        while sum(end for _, end in offset_range(self.lab.kafka, TOPIC).values()) - sum(self._ends.values()) < rows:
            if time.monotonic() > deadline:
                raise LabError(f"{self.name}: {rows} rows are not captured after {PATIENCE_S:.0f} s")
            time.sleep(0.5)
        time.sleep(1)
