"""The event feed: the newest change events as they come out of Kafka."""

from collections.abc import Sequence

import traitlets

from labkit.digits import PIXELS
from labkit.model.live_state import ScoredEvent
from labkit.widgets.assets import joined
from labkit.widgets.event_view import event_view
from labkit.widgets.row_requests import RowRequestWidget

MAX_EVENTS = 30


class EventFeed(RowRequestWidget):
    """The newest change events, newest first, at most `MAX_EVENTS`.

    Args:
        on_relabel: Called with row id and new label when a row is relabelled on the page.
        on_delete: Called with the row id when a row is deleted on the page.

    Traits:
        events: One JSON object an event, see `event_view`; ``image`` is the index of its image, or None.
        images: The images one after the other, 784 bytes each: binary, a quarter less than base64 in JSON.
    """

    _esm = joined("common.js", "event_feed.js")
    _css = joined("common.css", "event_feed.css")

    events = traitlets.List[dict[str, object]]().tag(sync=True)
    images = traitlets.Bytes(b"").tag(sync=True)

    def show(self, events: Sequence[ScoredEvent]) -> None:
        """Show these events, newest first; those beyond `MAX_EVENTS` are left out."""
        views: list[dict[str, object]] = []
        images: list[bytes] = []
        for scored in events[:MAX_EVENTS]:
            pixels = scored.event.pixels
            has_image = pixels is not None and len(pixels) == PIXELS
            views.append(event_view(scored) | {"image": len(images) if has_image else None})
            if pixels is not None and has_image:
                images.append(pixels)
        with self.updating():
            self.images = b"".join(images)
            self.events = views
