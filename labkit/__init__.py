"""labkit: a database feeds a machine-learning model in real time, in one sitting."""

import os

# TensorFlow reports CPU features on every start, and tensorflow-io every rebalance as an error: noise in a lesson.
# What goes wrong still comes as an exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from labkit.errors import LabError
from labkit.lab import Lab

__all__ = ["Lab", "LabError"]
