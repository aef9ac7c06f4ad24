"""Digits: what one is, and where they come from."""

from labkit.digits.digit import PIXELS, SIDE, Digits, check_label, check_pixels
from labkit.digits.disturb import DISTURBANCES, MOST_ROTATION_DEG, Disturbance, check_disturbance, disturb
from labkit.digits.kept import load_kept_digits
from labkit.digits.sources import load_digits
from labkit.digits.strokes import render_strokes

__all__ = [
    "DISTURBANCES",
    "MOST_ROTATION_DEG",
    "PIXELS",
    "SIDE",
    "Digits",
    "Disturbance",
    "check_disturbance",
    "check_label",
    "check_pixels",
    "disturb",
    "load_digits",
    "load_kept_digits",
    "render_strokes",
]
