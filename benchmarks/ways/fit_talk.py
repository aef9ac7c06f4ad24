"""The talk's way to train on a stream, line by line, as a process of the benchmark."""

import time
from typing import Any

from benchmarks.ways.child import BATCH, tell, told
from benchmarks.ways.evaluate_talk import talks_stream
from labkit.model.network import build_network, decode_csv_record

if __name__ == "__main__":
    place = told()
    network = build_network(seed=1)
    stream = talks_stream(place).map(decode_csv_record).take(place.rows)
    quiet: Any = 0
    tell(rows=0)
    network.fit(stream.batch(BATCH), epochs=1, verbose=quiet)
    # Where the stream ends early, Keras only warns.
    tell(rows=int(network.optimizer.iterations) * BATCH, at=time.time())
