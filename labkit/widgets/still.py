"""The still: the dashboard as plain HTML, for where no kernel runs.

A saved notebook is read in places that run no widget and strip styles, such as a code host's preview or an
exported page without a network. So this is tables and small PNG images, and its meaning never hangs on a
style.
"""

import base64
import html
import io
from datetime import datetime

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from labkit.capture.event import OPERATION_NAMES, format_lsn
from labkit.digits import PIXELS, SIDE
from labkit.model.live_state import LiveState, Score, ScoredEvent
from labkit.widgets.event_view import is_right, top_probability

MAX_ROWS = 8
"""Events in the picture: enough to see the stream, small enough for a notebook."""

# A trusted notebook opened without its kernel says "model not found" where the widgets were. The picture says
# it better.
_STYLE = (
    "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .labkit-still) > .jupyter-widgets:not(:has(*))"
    "{display: none}</style>"
)


def still_html(state: LiveState) -> str:
    """The state as one HTML figure of class ``labkit-still``, a few tens of kilobytes."""
    parts = [f"<p><b>Picture of the dashboard, saved with the notebook.</b> {_counts(state)}</p>"]
    if state.problem:
        parts.append(f"<p><b>Problem:</b> {html.escape(state.problem)}</p>")
    latest = _latest(state.latest)
    plot = _accuracy(state.score)
    if latest or plot:
        parts.append(f"<table><tr><td>{latest}</td><td>{plot}</td></tr></table>")
    if state.events:
        parts.append(_events(state.events[:MAX_ROWS]))
    return f'<div class="labkit-still">{_STYLE}{"".join(parts)}</div>'


def _counts(state: LiveState) -> str:
    words = f"{state.events_seen:,} events, {state.predictions_seen:,} predictions"
    if state.latency is not None:
        words += f", median {state.latency.median_ms:.0f} ms from commit to kernel"
    return words + ". Run the cells from the top to see it live."


def _latest(scored: ScoredEvent | None) -> str:
    if scored is None or scored.prediction is None or scored.prediction.predicted is None:
        return ""
    image = _digit_image(scored.event.pixels, 112, f"digit of row {scored.event.row_id}")
    return f"{image}<br>newest: row {scored.event.row_id}<br>{_verdict(scored)}"


def _verdict(scored: ScoredEvent) -> str:
    prediction = scored.prediction
    if prediction is None or prediction.predicted is None:
        return "none"
    words = f"predicted <b>{prediction.predicted}</b>"
    probability = top_probability(prediction)
    if probability is not None:
        words += f" ({probability:.1%})"
    right = is_right(prediction)
    return words + {True: " ✓ right", False: f" ✗ wrong, it is a {prediction.label}", None: ""}[right]


def _accuracy(score: Score) -> str:
    if score.accuracy is None:
        return ""
    words = f"accuracy <b>{score.accuracy:.1%}</b>, {score.correct:,} right of {score.counted:,}"
    if score.recent_accuracy is not None:
        words += f", {score.recent_accuracy:.1%} of the last {score.recent_counted}"
    return f"{_plot_image(score)}<br>{words}"


def _events(events: tuple[ScoredEvent, ...]) -> str:
    heads = ("change", "digit", "row", "label", "prediction", "LSN", "committed", "seen after")
    rows = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    for scored in events:
        event = scored.event
        cells = (
            OPERATION_NAMES[event.operation],
            _digit_image(event.pixels, SIDE, f"digit of row {event.row_id}"),
            f"{html.escape(event.table)} {event.row_id}",
            "none" if event.label is None else str(event.label),
            _verdict(scored),
            format_lsn(event.lsn),
            datetime.fromtimestamp(event.committed_ms / 1000).strftime("%H:%M:%S.%f")[:-3],
            "" if scored.seen_ms is None else f"{scored.seen_ms - event.committed_ms:.0f} ms",
        )
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _digit_image(pixels: bytes | None, size: int, words: str) -> str:
    if pixels is None or len(pixels) != PIXELS:
        return ""
    image = Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE))
    if size > SIDE:  # Enlarged here, as a page without styles would blur it.
        image = image.resize((size, size), Image.Resampling.NEAREST)
    return _img(image, words)


def _plot_image(score: Score) -> str:
    """The running accuracy as a small line plot, 0 to 100 % over the predictions read."""
    left, top, right, bottom = 44, 10, 350, 110
    image = Image.new("RGB", (360, 132), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    for share in (0, 50, 100):
        y = bottom - share / 100 * (bottom - top)
        draw.line((left, y, right, y), fill="#dddddd")
        draw.text((left - 6, y), f"{share} %", fill="#555555", font=font, anchor="rm")
    counts = [count for count, _ in score.history]
    first, last = (counts[0], counts[-1]) if counts else (0, 0)
    span = max(last - first, 1)
    draw.text((left, bottom + 4), f"{first:,}", fill="#555555", font=font)
    draw.text((right, bottom + 4), f"{last:,} predictions", fill="#555555", font=font, anchor="ra")
    points = [
        (left + (count - first) / span * (right - left), bottom - accuracy * (bottom - top))
        for count, accuracy in score.history
    ]
    if len(points) > 1:
        draw.line(points, fill="#1565c0", width=2, joint="curve")
    return _img(image, f"running accuracy, now {score.accuracy or 0:.1%}")


def _img(image: Image.Image, words: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{data}" width="{image.width}" height="{image.height}" '
        f'alt="{html.escape(words)}">'
    )
