"""Digits: what one is, and where they come from."""

from labkit.digits.digit import PIXELS, SIDE, Digits, check_label, check_pixels
from labkit.digits.sources import load_digits
from labkit.digits.strokes import render_strokes

__all__ = ["PIXELS", "SIDE", "Digits", "check_label", "check_pixels", "load_digits", "render_strokes"]
