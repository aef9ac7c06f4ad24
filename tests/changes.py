"""The same 5,000 changes for every way of running the lab, and what must come of them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from labkit import Lab
from labkit.digits import Digits, load_digits
from labkit.model.inference import compile_predict
from labkit.model.prediction_records import read_predictions
from labkit.model.store import ModelStore
from labkit.settings import TEST_TABLE, table_topic
from labkit.stream.events import decode_event
from labkit.stream.reading import read_to_present_end

IN_ONE_TRANSACTION, ROWS, RELABELS, DELETES = 1000, 3000, 1500, 500
CHANGES = ROWS + RELABELS + DELETES
BATCH, SINGLE = 100, 50
SOURCE = "the same changes"
TEST_TOPIC = table_topic("lab", TEST_TABLE)

Change = tuple[int, str, int | None, bytes | None]
"""Number of the row, operation, label and pixels after it."""


@dataclass(frozen=True, slots=True)
class Made:
    """Changes that were made.

    Attributes:
        numbers: Number of each row in the script, by its id: ids differ where the table has been used before.
        changes: All of them, those of one row in their order.
    """

    numbers: dict[int, int]
    changes: Sequence[Change]

    def events_hash(self) -> str:
        """Hash over (row, operation, label, pixels) as it has to be."""
        return _hash(self.changes)

    def predictions_hash(self, lab: Lab) -> str:
        """Hash over (row, operation, predicted digit) as it has to be, with the model that scores."""
        store = ModelStore(lab.settings.home / "models")
        predict = compile_predict(store.load(store.current_version() or ""))
        images = np.stack([np.frombuffer(pixels or bytes(784), np.uint8) for *_, pixels in self.changes])
        answers = predict(images).argmax(axis=1)
        return _hash(
            (row, operation, None if pixels is None else int(answer))
            for (row, operation, _, pixels), answer in zip(self.changes, answers, strict=True)
        )


def make_changes(lab: Lab) -> Made:
    """Insert, relabel and delete: one by one, in batches, and 1,000 rows in one transaction."""
    source = load_digits("bundled", "test")
    rows = np.arange(ROWS)
    # Shifted by its number, so that hardly two rows look alike.
    images = np.stack([np.roll(source.images[row % len(source)], row // len(source), axis=1) for row in rows])
    labels = source.labels[rows % len(source)]
    ids = _insert(lab, images, labels)
    changes: list[Change] = [(int(row), "c", int(labels[row]), images[row].tobytes()) for row in rows]

    generator = np.random.default_rng(1)
    relabelled = generator.choice(ROWS, RELABELS, replace=False)
    digits = generator.integers(0, 10, RELABELS)
    deleted = generator.choice(ROWS, DELETES, replace=False)
    newest = {int(row): int(label) for row, label in enumerate(labels)}
    for row, digit in zip(relabelled[:SINGLE], digits[:SINGLE], strict=True):
        lab.relabel(ids[row], int(digit))
    with psycopg.connect(lab.endpoints.postgres) as connection:
        for start in range(SINGLE, RELABELS, BATCH):
            batch = slice(start, start + BATCH)
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(
                    "UPDATE mnist_test SET label = %s WHERE id = %s",
                    [(int(digit), ids[row]) for row, digit in zip(relabelled[batch], digits[batch], strict=True)],
                )
        for row, digit in zip(relabelled, digits, strict=True):
            newest[int(row)] = int(digit)
            changes.append((int(row), "u", int(digit), images[row].tobytes()))
        for row in deleted[:SINGLE]:
            lab.delete(ids[row])
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany("DELETE FROM mnist_test WHERE id = %s", [(ids[row],) for row in deleted[SINGLE:]])
    changes += [(int(row), "d", None, None) for row in deleted]
    assert len(changes) == CHANGES
    return Made({row_id: number for number, row_id in enumerate(ids)}, changes)


def events_hash(lab: Lab, made: Made) -> str:
    """Hash over (row, operation, label, pixels) of the change events in Kafka that are of these rows."""
    events = [decode_event(record) for record in read_to_present_end(lab.kafka, TEST_TOPIC)]
    ours = sorted((event for event in events if event.row_id in made.numbers), key=lambda event: event.lsn)
    return _hash((made.numbers[event.row_id], event.operation, event.label, event.pixels) for event in ours)


def predictions_hash(lab: Lab, made: Made) -> str:
    """Hash over (row, operation, predicted digit) of the predictions in Kafka that are of these rows."""
    ours = sorted((p for p in read_predictions(lab.kafka)[0] if p.row_id in made.numbers), key=lambda p: p.lsn)
    return _hash((made.numbers[p.row_id], p.operation, p.predicted) for p in ours if p.table == TEST_TABLE)


def _insert(lab: Lab, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> list[int]:
    ids = lab.tables.copy(Digits(images[:IN_ONE_TRANSACTION], labels[:IN_ONE_TRANSACTION], SOURCE), TEST_TABLE)
    single = IN_ONE_TRANSACTION + SINGLE
    for image, label in zip(images[IN_ONE_TRANSACTION:single], labels[IN_ONE_TRANSACTION:single], strict=True):
        ids.append(lab.insert(image, int(label)))
    for start in range(single, ROWS, BATCH):
        batch = slice(start, start + BATCH)
        ids += lab.tables.copy(Digits(images[batch], labels[batch], SOURCE), TEST_TABLE)
    return ids


def _hash(changes: Iterable[tuple[Any, ...]]) -> str:
    """One for the same changes, in whatever order rows took turns; the changes of one row keep theirs."""
    by_row: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row, *rest in changes:
        by_row[row].append(tuple(rest))
    digest = hashlib.sha256()
    for row in sorted(by_row):
        digest.update(repr((row, by_row[row])).encode())
    return digest.hexdigest()
