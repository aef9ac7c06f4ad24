"""labkit's quick way to train on a table's topic, as a process of the benchmark."""

import time

from benchmarks.ways.child import tell, told
from labkit.model.training import train_from_rows

if __name__ == "__main__":
    place = told()
    tell(rows=0)
    training = train_from_rows(place.kafka, place.rows, epochs=1, seed=1)
    tell(rows=training.digits, at=time.time())
