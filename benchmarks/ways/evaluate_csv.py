"""labkit's way to read the same topic with TensorFlow, as a process of the benchmark."""

from benchmarks.ways.child import BATCH, told
from benchmarks.ways.evaluating import evaluate, published_model
from labkit.model.network import decode_csv_batch
from labkit.stream.tensors import group_dataset

if __name__ == "__main__":
    place = told()
    network = published_model(place)
    records = group_dataset(place.kafka, place.topic, until_present_end=False, stream_timeout_ms=3_600_000)
    evaluate(network, records.batch(BATCH).map(decode_csv_batch))
