"""Lesson 5: each check refuses a plausible wrong answer in a helpful word, and accepts another right one."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from labkit import Lab
from labkit.course import Workbench
from labkit.course import tensorflow_streams as check
from labkit.model.network import decode_csv_record
from labkit.settings import CSV_PREFIX, TEST_TABLE, TRAIN_TABLE, table_topic
from labkit.stream.reading import read_to_present_end
from labkit.stream.topics import CLIENT

TRAIN, TEST = table_topic(CSV_PREFIX, TRAIN_TABLE), table_topic(CSV_PREFIX, TEST_TABLE)
COLUMNS = [[0.0]] * 784


@pytest.fixture(scope="module")
def topic(lab: Lab) -> Iterator[str]:
    """A topic of ten records, seven of them in the first of two sends."""
    bench = Workbench(lab, "tensorstest")
    bench.clear()
    producer = KafkaProducer(bootstrap_servers=lab.kafka, **CLIENT)
    for number in range(10):
        producer.send(bench.name("stream"), value=str(number).encode()).get(10)
    producer.close()
    yield bench.name("stream")
    bench.clear()


def unscaled(messages: Any, keys: Any) -> Any:
    """Forgets to divide."""
    return tf.stack(tf.io.decode_csv(messages, COLUMNS), axis=1), tf.strings.to_number(keys, tf.int32)


def sideways(messages: Any, keys: Any) -> Any:
    """Stacks along the wrong axis."""
    return tf.stack(tf.io.decode_csv(messages, COLUMNS)) / 255.0, tf.strings.to_number(keys, tf.int32)


def float_labels(messages: Any, keys: Any) -> Any:
    """Leaves the labels' type to the default."""
    return unscaled(messages, keys)[0] / 255.0, tf.strings.to_number(keys)


def shuffled(messages: Any, keys: Any) -> Any:
    """Loses which label is whose."""
    return unscaled(messages, keys)[0] / 255.0, tf.reverse(tf.strings.to_number(keys, tf.int32), [0])


def unfinished(messages: Any, keys: Any) -> Any:
    """Raises an error without words."""
    raise NotImplementedError


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (unscaled, "still 0 to 255"),
        (sideways, "along the right axis"),
        (float_labels, "float32 and int32"),
        (shuffled, "labels are not the records' keys"),
        (decode_csv_record, "shape"),
        (lambda messages: messages, "fails"),
        (unfinished, "it fails: NotImplementedError"),
        ("decode", "is a function"),
    ],
)
def test_a_decoder_that_is_not_right_is_told_why(scoring_lab: Lab, answer: object, words: str) -> None:
    verdict = check.batch_decoder(answer, scoring_lab, TRAIN)
    assert verdict.kind == "wrong" and words in verdict.words


def test_a_decoder_without_decode_csv_is_right_as_well(scoring_lab: Lab) -> None:
    def split(messages: Any, keys: Any) -> Any:
        numbers = tf.strings.to_number(tf.strings.split(messages, ",").to_tensor())
        return numbers / 255.0, tf.strings.to_number(keys, tf.int64)

    assert check.batch_decoder(split, scoring_lab, TRAIN).right


def test_right_answers_are_counted_on_the_topic(scoring_lab: Lab) -> None:
    model = keras.Sequential([keras.layers.Input((784,)), keras.layers.Dense(10)])
    records = [record for record in read_to_present_end(scoring_lab.kafka, TEST) if record.value]
    images = np.array([np.fromstring(record.value.decode(), sep=",", dtype=np.float32) for record in records]) / 255
    said = np.asarray(model(images)).argmax(axis=1)
    right = int((said == [int(record.key) for record in records]).sum())
    assert check.right_answers(np.int32(right), scoring_lab, TEST, model).right
    wrong_ones = check.right_answers(len(records) - right, scoring_lab, TEST, model)
    assert wrong_ones.kind == "wrong" and "reads wrong" in wrong_ones.words
    assert "largest logit" in check.right_answers(right + 1, scoring_lab, TEST, model).words
    assert "whole number" in check.right_answers(right / len(records), scoring_lab, TEST, model).words
    assert "Train the model" in check.right_answers(right, scoring_lab, TEST, ...).words


def test_records_left_are_counted_from_the_next_offset(lab: Lab, topic: str) -> None:
    one_off = check.records_left(2, lab, topic, 7)
    assert one_off.kind == "wrong" and "one off" in one_off.words
    assert "an offset" in check.records_left(10, lab, topic, 7).words
    assert check.records_left(6, lab, topic, 7).kind == "wrong"
    assert "whole number" in check.records_left([7, 8, 9], lab, topic, 7).words
    reader = KafkaConsumer(bootstrap_servers=lab.kafka, **CLIENT)
    place = TopicPartition(topic, 0)
    reader.assign([place])
    reader.seek(place, 7)
    left = sum(len(records) for records in reader.poll(timeout_ms=5000).values())
    reader.close()
    assert check.records_left(left, lab, topic, 7).right, "counted by reading them"
