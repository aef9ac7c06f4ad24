"""The whole way once, without a browser, with every figure measured."""

import os
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Any

from labkit.lab import Lab
from labkit.model.prediction_records import decode_prediction
from labkit.settings import PREDICTIONS_TOPIC, TEST_TABLE, Settings
from labkit.stack.base import Report
from labkit.stack.keeper import memory_mib
from labkit.stream.reading import open_reader
from labkit.stream.topics import offset_range

DIGITS = 1000
RATE = 20.0
RELABELLED = 20
DELETED = 10
SEED = 1

MIN_ACCURACY = 0.96
MAX_P50_MS = 50.0
MAX_TRAIN_S = 30.0
MAX_RSS_MIB = 1.8 * 1024


def run_demo(settings: Settings, report: Report = print) -> tuple[dict[str, Any], list[str]]:
    """Train from Kafka, stream test digits, relabel and delete some, and account for all of it.

    It runs in a lab of its own, which is gone afterwards: every figure is of this run, and nobody's digits are touched.

    Args:
        settings: The user's settings; only the folder differs.
        report: Told of progress.

    Returns:
        The figures, and what fell short (an empty list where nothing did).
    """
    lab = Lab(settings.model_copy(update={"home": settings.home / "demo"}))
    lab.down(report=report)
    try:
        return _measure(lab, report)
    finally:
        lab.down(report=report)


def _measure(lab: Lab, report: Report) -> tuple[dict[str, Any], list[str]]:
    started = time.monotonic()
    lab.up(report)
    report(lab.load_digits(test=0, report=report))
    lab.capture()
    report("training from the Kafka topic")
    training = lab.train(seed=SEED)
    report(f"trained on {training.digits:,} digits in {training.seconds:.1f} s")
    version = lab.publish(training.model)
    lab.wait_until(lambda: any(s.name == "scorer" and s.healthy for s in lab.status()), "the scorer runs")

    seen: dict[int, float] = {}
    ready, stop = threading.Event(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(lab.kafka, seen, ready, stop), daemon=True)
    watcher.start()
    ready.wait(30)
    _wait_for_first_prediction(lab, seen)
    memory: list[dict[str, float]] = []

    began: dict[int, float] = {}

    def on_sent(row_id: int, began_ms: float) -> None:
        began[row_id] = began_ms
        if len(began) % 200 == 0:
            memory.append(_memory(lab))
            report(f"{len(began)} of {DIGITS} digits sent")

    ids = lab.sender.send(DIGITS, RATE, on_sent)
    truth = lab.tables.labels(TEST_TABLE)
    for row_id in ids[:RELABELLED]:
        # Wrong first, then right again: two events each, and the score must end where it was.
        lab.relabel(row_id, ((truth[row_id] or 0) + 1) % 10)
        lab.relabel(row_id, truth[row_id])
    for row_id in ids[-DELETED:]:
        lab.delete(row_id)
    ledger = lab.ledger(wait_s=30)
    stop.set()
    watcher.join()

    latencies = [seen[row_id] - began[row_id] for row_id in ids if row_id in seen]
    worst = max(memory, key=lambda sample: sum(sample.values()))
    figures: dict[str, Any] = {
        "rows_inserted": len(ids),
        "distinct_test_digits": min(len(ids), lab.sender.distinct),
        "relabelled": RELABELLED,
        "deleted": DELETED,
        "events_captured": ledger.events,
        "predictions": ledger.predictions,
        "lost": ledger.lost,
        "duplicated": ledger.duplicated,
        "score_agrees": ledger.score_agrees,
        "accuracy": round(ledger.accuracy or 0.0, 4),
        "latency_ms": {name: round(value, 1) for name, value in _percentiles(latencies).items()},
        "digits_per_second": RATE,
        "model_version": version,
        "train_digits": training.digits,
        "train_seconds": round(training.seconds, 1),
        "elapsed_s": round(time.monotonic() - started, 1),
        "rss_mb": {name: round(mib * 2**20 / 1e6) for name, mib in worst.items()},
        "rss_total_mb": round(sum(worst.values()) * 2**20 / 1e6),
    }
    checks = {
        f"{figures['lost']} changes lost": ledger.lost == 0,
        f"{figures['duplicated']} changes counted twice": ledger.duplicated == 0,
        "the running score differs from the tables": ledger.score_agrees,
        f"accuracy {figures['accuracy']} is below {MIN_ACCURACY}": figures["accuracy"] >= MIN_ACCURACY,
        f"p50 {figures['latency_ms']['p50']} ms is above {MAX_P50_MS} ms": figures["latency_ms"]["p50"] <= MAX_P50_MS,
        f"training took {figures['train_seconds']} s": training.seconds <= MAX_TRAIN_S,
        f"{figures['rss_total_mb']} MB resident": sum(worst.values()) <= MAX_RSS_MIB,
    }
    return figures, [what for what, well in checks.items() if not well]


def _wait_for_first_prediction(lab: Lab, seen: dict[int, float]) -> None:
    """The scorer loads TensorFlow for some seconds: send one digit ahead and take it out again."""
    (row_id,) = lab.sender.send(1, 1.0)
    lab.wait_until(lambda: row_id in seen, "the first prediction", timeout_s=60)
    lab.delete(row_id)


def _watch(servers: str, seen: dict[int, float], ready: threading.Event, stop: threading.Event) -> None:
    """Note when each row's first prediction could be read, milliseconds since the Unix epoch."""
    positions = {partition: end for partition, (_, end) in offset_range(servers, PREDICTIONS_TOPIC).items()}
    reader = open_reader(servers, positions)
    ready.set()
    while not stop.is_set():
        for records in reader.poll(timeout_ms=200).values():
            now_ms = time.time() * 1000
            for record in records:
                seen.setdefault(decode_prediction(record).row_id, now_ms)
    reader.close()


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}


def _memory(lab: Lab) -> dict[str, float]:
    services = {service.name: service.rss_mib for service in lab.stack.status() if service.pid}
    return services | {"this process": memory_mib(os.getpid()), "supervisor": lab.stack.overhead_mib()}
