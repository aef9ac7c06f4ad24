"""The draw pad: a digit drawn by mouse, pen, finger or keyboard becomes a row."""

from collections.abc import Callable
from typing import cast

import numpy as np
import traitlets
from numpy.typing import NDArray

from labkit.digits import render_strokes
from labkit.errors import LabError
from labkit.widgets.assets import joined
from labkit.widgets.checks import take_label, take_number
from labkit.widgets.request_widget import Job, RequestWidget
from labkit.widgets.telling import telling

Stroke = list[list[float]]
"""A stroke: [x, y] points in pad units, 0 to 1, y downwards."""

MIN_WIDTH, MAX_WIDTH = 0.03, 0.2


class DrawPad(RequestWidget):
    """A pad to draw on, beside it the 28×28 image that the model will see.

    The page draws by itself and syncs once a stroke; Python renders, so what is shown is what is sent.

    Args:
        on_send: Called with the 28×28 uint8 image and the label (None: not known yet); returns the line to
            show, such as ``row 1001 inserted``. May be slow, may raise: the drawing then stays on the pad.

    Traits:
        strokes: The drawing: strokes of [x, y] points in pad units, 0 to 1.
        width: Brush width in pad units.
        label: 0 to 9, or None.
        preview: 784 bytes, or none while the pad is blank.
    """

    _esm = joined("common.js", "draw_pad.js")
    _css = joined("common.css", "draw_pad.css")

    strokes = traitlets.List[Stroke]().tag(sync=True)
    width = traitlets.Float(0.08, min=MIN_WIDTH, max=MAX_WIDTH).tag(sync=True)
    label = traitlets.Int(None, allow_none=True, min=0, max=9).tag(sync=True)
    preview = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, on_send: Callable[[NDArray[np.uint8], int | None], str] | None = None) -> None:
        super().__init__()
        self._on_send = on_send
        self.observe(self._show_preview, names=["strokes", "width"])

    def pixels(self) -> NDArray[np.uint8]:
        """What is on the pad now, 28×28, uint8.

        Raises:
            LabError: The pad is blank.
        """
        return render_strokes(self.strokes, self.width)

    def job(self, request: dict[str, object]) -> Job:
        """Check a request ``{strokes, width, label}``; see `RequestWidget.job`."""
        send = self._on_send
        if send is None:
            raise LabError("nothing is connected to this pad", "pass on_send to DrawPad, or use pixels()")
        label = take_label(request)
        width = take_number(request, "width", MIN_WIDTH, MAX_WIDTH)
        # render_strokes checks them point by point: untrusted is what it expects.
        strokes = cast(list[Stroke], request.get("strokes"))
        pixels = render_strokes(strokes, width)
        return Job("sending…", lambda: send(pixels, label), lambda: self._take_off(strokes))

    def _take_off(self, sent: list[Stroke]) -> None:
        """Clear what was sent, and keep what somebody quick has drawn since."""
        drawn = self.strokes
        with self.updating():
            self.strokes = drawn[len(sent) :] if drawn[: len(sent)] == sent else drawn
            self.label = None

    def _show_preview(self, change: object) -> None:
        preview = b""
        if self.strokes and self.status_kind == "error" and not self.busy:
            self.say("info", "")  # Whoever draws on has read why the last one was refused.
        with telling(self.say_error):
            if self.strokes:
                preview = self.pixels().tobytes()
        self.preview = preview
