"""What the live stream looks like: a pad to draw on, the newest prediction, the scores, the timeline and the feed.

Every widget works alone in a cell as well as in the `Dashboard`. Widgets know values, never servers: a page's
wish comes back through a callback, and what there is to show comes in through ``show()`` or ``poll()``.
"""

from labkit.widgets.actions import DashboardActions
from labkit.widgets.control_bar import ControlBar
from labkit.widgets.dashboard import Dashboard
from labkit.widgets.draw_pad import DrawPad
from labkit.widgets.event_feed import EventFeed
from labkit.widgets.prediction_card import PredictionCard
from labkit.widgets.scoreboard import Scoreboard
from labkit.widgets.timeline import Timeline

__all__ = [
    "ControlBar",
    "Dashboard",
    "DashboardActions",
    "DrawPad",
    "EventFeed",
    "PredictionCard",
    "Scoreboard",
    "Timeline",
]
