"""Checks of lesson 5: decoding in batches, a model's answers, a model and its offset."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from kafka.structs import TopicPartition

from labkit.course.answers import whole_number
from labkit.course.verdict import WrongAnswer, check
from labkit.digits import PIXELS
from labkit.lab import Lab
from labkit.stream.reading import read_to_present_end
from labkit.stream.topics import offset_range

TRIED = 64
"""Records that a decoder is tried on."""


@check
def batch_decoder(answer: object, lab: Lab, topic: str) -> str:
    """Whether a function decodes a batch of records of the csv route.

    Args:
        answer: Takes messages and keys, string tensors of shape (n,); returns images, float32 of shape (n, 784) and 0
            to 1, and labels, int32 of shape (n,).
        lab: The running lab.
        topic: A topic of the csv route; its first records are decoded.
    """
    if not callable(answer):
        raise WrongAnswer(f"A decoder is a function; this is a {type(answer).__name__}.")
    decode: Callable[..., Any] = answer
    records = [record for record in read_to_present_end(lab.kafka, topic) if record.value][:TRIED]
    pixels = np.array([[int(value) for value in record.value.split(b",")] for record in records])
    digits = np.array([int(record.key) for record in records])
    try:
        images, labels = decode(tf.constant([r.value for r in records]), tf.constant([r.key for r in records]))
        images, labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
    except Exception as error:  # It is the learner's function: whatever it raises is the answer's fault.
        # A bare assert has no words.
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise WrongAnswer(f"On {len(records)} records at once it fails: {reason[:200]}") from error
    if tuple(images.shape) != (len(records), PIXELS):
        raise WrongAnswer(
            f"The images' shape is {tuple(images.shape)}, wanted is {(len(records), PIXELS)}. "
            "decode_csv gives one tensor for each column: they have to be stacked, along the right axis."
        )
    if images.dtype != tf.float32 or not labels.dtype.is_integer:
        raise WrongAnswer(f"The types are {images.dtype.name} and {labels.dtype.name}; wanted are float32 and int32.")
    if np.allclose(images, pixels):
        raise WrongAnswer("The pixels are still 0 to 255. The network was trained on 0 to 1.")
    if not np.allclose(images, pixels / 255, atol=1e-6):
        raise WrongAnswer("The shape is right, the pixels are not. Compare one row with the record it was made of.")
    if tuple(labels.shape) != digits.shape or not np.array_equal(labels, digits):
        raise WrongAnswer("The labels are not the records' keys, as numbers, in their order.")
    return f"{len(records)} records in one call, and every pixel and label is right."


@check
def right_answers(answer: object, lab: Lab, topic: str, model: Any) -> str:
    """Whether this is how many digits of a topic a model reads right.

    Args:
        answer: Their number.
        lab: The running lab.
        topic: A topic of the csv route.
        model: Takes (n, 784) float32 and gives (n, 10) logits.
    """
    given = whole_number(answer, "a number of digits")
    if not isinstance(model, keras.Model):
        raise WrongAnswer("Train the model first.")
    records = [record for record in read_to_present_end(lab.kafka, topic) if record.value]
    pixels = np.array([[int(value) for value in record.value.split(b",")] for record in records], np.float32)
    said = np.argmax(np.asarray(model(pixels / 255)), axis=1)
    right = int(np.sum(said == np.array([int(record.key) for record in records])))
    if given == right:
        return f"{right} of {len(records)}: {right / len(records):.1%}."
    if given == len(records) - right:
        raise WrongAnswer("Those are the ones that it reads wrong.")
    raise WrongAnswer("It is another number. For each digit, compare the largest logit's place with the label.")


@check
def records_left(answer: object, lab: Lab, topic: str, next_offset: int) -> str:
    """Whether this is how many records a reader still has before it.

    Args:
        answer: Their number.
        lab: The running lab.
        topic: A topic of one partition, written without transactions, so that every offset is a record.
        next_offset: Offset of the record to read next.
    """
    given = whole_number(answer, "a number of records")
    _, end = offset_range(lab.kafka, topic)[TopicPartition(topic, 0)]
    left = end - next_offset
    if given == left:
        return f"{left} records wait, from offset {next_offset} to {end - 1}."
    if abs(given - left) == 1:
        raise WrongAnswer("That is one off. The saved offset is that of the next record; the end is behind the last.")
    if given in (end, next_offset):
        raise WrongAnswer("That is an offset. How many records are there from the saved offset to the end?")
    raise WrongAnswer("It is another number. The topic's end, less the saved offset.")
