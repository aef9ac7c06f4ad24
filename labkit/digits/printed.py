"""Printed digits: how people write who learnt to write elsewhere, as far as type shows it."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from labkit.digits.digit import Digits, Image
from labkit.digits.mnist_format import to_mnist_format

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmb10", "cmss10", "cmtt10",
)  # fmt: skip
"""Font files that come with matplotlib and draw a zero without dot or slash."""
SIZE = 160
PAPER = 240


def load_printed() -> Digits:
    """160 digits, each of the ten in 16 fonts, in MNIST's format.

    scikit-learn's digits are by few writers: no foot under a 1, no straight stem under a 9. Type adds such shapes.
    """
    # Imported here: it takes half a second, and most commands load no digits.
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    images = [_print(folder / f"{font}.ttf", digit) for font in FONTS for digit in range(10)]
    return Digits(np.stack(images), np.tile(np.arange(10, dtype=np.uint8), len(FONTS)), "printed digits")


def _print(font: Path, digit: int) -> Image:
    paper = Pillow.new("L", (PAPER, PAPER), 0)
    # A corner that leaves room on all sides, whatever the font.
    ImageDraw.Draw(paper).text((60, 20), str(digit), fill=255, font=ImageFont.truetype(font, SIZE))
    return to_mnist_format(np.asarray(paper, np.float32))
