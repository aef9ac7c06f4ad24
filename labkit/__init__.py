"""labkit: a database feeds a machine-learning model in real time, in one sitting."""

import os
from typing import TYPE_CHECKING, Any

# TensorFlow reports CPU features on every start, and tensorflow-io every rebalance as an error: noise in a lesson.
# What goes wrong still comes as an exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The talk's network is small: threads that share one of its operations mostly wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

from labkit.errors import LabError

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["Lab", "LabError"]


def __getattr__(name: str) -> Any:
    # Imported once it is asked for (PEP 562): an engine's environment lacks most of what Lab needs.
    if name == "Lab":
        from labkit.lab import Lab

        return Lab
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
