"""A scorer without Kafka: Debezium Server posts the changes, the predictions go to a table.

It answers only when they are recorded. A change that is posted again, since the answer was lost or either side was
killed, is recorded once: its row and LSN are the table's key.
"""

import asyncio
import base64
import binascii
import hmac
import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import tornado.httpserver
import tornado.web

from labkit.capture.event import OPERATION_NAMES, Operation
from labkit.database.prediction_table import PredictionTable, RowPrediction
from labkit.digits import PIXELS
from labkit.errors import LabError
from labkit.model.inference import Predict, compile_predict
from labkit.model.prediction import recorded
from labkit.model.store import ModelStore, NewestModel

log = logging.getLogger(__name__)

PATH, HEALTH = "/changes", "/q/health"
"""Where changes are posted, and where the health is asked: Debezium Server's own path, so that one check fits both."""
MAX_BODY = 4 * 2**20
"""Bytes: some 200 digits in Base64, Debezium's largest post, have 300 kB."""
TOLERANCE_S = 300.0
"""How old a signature may be."""


class BadPostError(LabError):
    """A post that is no array of changes."""


@dataclass(frozen=True, slots=True)
class Change:
    """One posted change of a digit row; the fields are those of `labkit.capture.event.ChangeEvent`."""

    row_id: int
    lsn: int
    operation: Operation
    label: int | None
    pixels: bytes | None
    committed_s: float


def parse_changes(body: bytes) -> list[Change]:
    """Read a post of Debezium Server's; heartbeats in it are passed over.

    Raises:
        BadPostError: It is no JSON, no array, or something in it is no digit.
    """
    try:
        posted: Any = json.loads(body)
    except ValueError as error:
        raise BadPostError(f"the body is no JSON: {error}") from error
    if not isinstance(posted, list):
        raise BadPostError(f"an array of changes is wanted, not {type(posted).__name__}")
    changes: list[Change] = []
    for number, fields in enumerate(cast(list[Any], posted)):
        if isinstance(fields, dict) and fields.keys() == {"ts_ms"}:
            continue
        try:
            changes.append(_change(fields))
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            reason = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
            raise BadPostError(f"change {number} is no digit: {reason}") from error
    return changes


def _change(fields: Any) -> Change:
    if not isinstance(fields, dict):
        raise TypeError(f"a {type(fields).__name__} has no fields")
    operation, label = fields["__op"], fields["label"]
    if operation not in OPERATION_NAMES:
        raise ValueError(f"unknown operation {operation!r}")
    if label is not None and (type(label) is not int or not 0 <= label <= 9):
        raise ValueError(f"label {label!r} is no digit")
    numbers = (fields["id"], fields["__source_lsn"], fields["__source_ts_us"])
    if any(type(number) is not int for number in numbers):
        raise TypeError("id, LSN and time are whole numbers")
    if not 0 < numbers[0] < 2**31:
        raise ValueError(f"id {numbers[0]} is none of a row")
    gone = operation == "d"
    pixels = base64.b64decode(fields["pixels"], validate=True)
    if len(pixels) != PIXELS:
        raise ValueError(f"{len(pixels)} bytes are no {PIXELS} pixels")
    return Change(
        row_id=numbers[0],
        lsn=numbers[1],
        operation=operation,
        label=None if gone else label,
        pixels=None if gone else pixels,
        committed_s=numbers[2] / 1e6,
    )


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature of a post, see https://github.com/standard-webhooks/standard-webhooks."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(base64.b64decode(secret), signed, "sha256")).decode()


class HttpScorer:
    """Predicts what is posted and records it.

    Args:
        store: Where models are published; a newer one is taken up between two posts.
        table: Where predictions are recorded.
    """

    def __init__(self, store: ModelStore, table: PredictionTable) -> None:
        self._newest = NewestModel(store)
        self._table = table
        self._model: tuple[str, Predict] | None = None

    def score(self, changes: Sequence[Change]) -> None:
        """Predict and record, all or nothing.

        Raises:
            LabError: No model was published, or PostgreSQL is away.
        """
        if not changes:
            return
        version, predict = self._current_model()
        images = np.frombuffer(b"".join(change.pixels or b"" for change in changes), np.uint8).reshape(-1, PIXELS)
        answers = iter(np.argmax(recorded(predict(images)), axis=1).tolist() if len(images) else ())
        self._table.record(
            [
                RowPrediction(
                    row_id=change.row_id,
                    lsn=change.lsn,
                    operation=change.operation,
                    label=change.label,
                    predicted=None if change.pixels is None else next(answers),
                    model_version=version,
                    committed_s=change.committed_s,
                )
                for change in changes
            ]
        )

    def _current_model(self) -> tuple[str, Predict]:
        version, model = self._newest.get()
        if self._model is None or self._model[0] != version:
            self._model = (version, compile_predict(model))
            log.info("scoring with model %s", version)
        return self._model


class _Changes(tornado.web.RequestHandler):
    def initialize(self, scorer: HttpScorer, secret: str) -> None:
        self._scorer, self._secret = scorer, secret

    def post(self) -> None:
        if not self._is_signed():
            self._refuse(401, "the signature is missing, wrong or old")
            return
        try:
            self._scorer.score(parse_changes(self.request.body))
        except BadPostError as error:
            self._refuse(400, error.problem)
        except LabError as error:
            # Debezium Server asks again, until a model is published or PostgreSQL is back.
            log.warning("%s", error)
            self._refuse(503, error.problem)
        else:
            self.set_status(204)

    def _is_signed(self) -> bool:
        headers = self.request.headers
        message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        try:
            age_s = abs(time.time() - int(timestamp))
        except ValueError:
            return False
        wanted = signature(self._secret, message_id, timestamp, self.request.body)
        return age_s < TOLERANCE_S and hmac.compare_digest(wanted, headers.get("webhook-signature", ""))

    def _refuse(self, status: int, reason: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(reason + "\n")


class _Health(tornado.web.RequestHandler):
    def get(self) -> None:
        self.finish({"status": "UP"})


def serve(scorer: HttpScorer, secret: str, host: str, port: int, stop: threading.Event) -> None:
    """Answer posts until told to stop.

    Args:
        scorer: What scores.
        secret: Of the signatures, in Base64.
        host: Address to listen on.
        port: Port to listen on.
        stop: Ends it.

    Raises:
        OSError: The port is taken.
    """
    asyncio.run(_serve(scorer, secret, host, port, stop))


async def _serve(scorer: HttpScorer, secret: str, host: str, port: int, stop: threading.Event) -> None:
    handlers = [(PATH, _Changes, {"scorer": scorer, "secret": secret}), (HEALTH, _Health)]
    server = tornado.httpserver.HTTPServer(tornado.web.Application(handlers), max_body_size=MAX_BODY)
    server.listen(port, host)
    log.info("changes are taken at http://%s:%d%s", host, port, PATH)
    try:
        while not stop.is_set():
            await asyncio.sleep(0.2)
    finally:
        server.stop()
