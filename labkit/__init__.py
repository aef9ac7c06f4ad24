"""labkit: a database feeds a machine-learning model in real time, in one sitting."""

import os

# TensorFlow reports CPU features and missing GPUs on every start: noise in a lesson. Warnings and errors stay.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from labkit.errors import LabError
from labkit.lab import Lab

__all__ = ["Lab", "LabError"]
