"""Keras without the packages that scoring has no use for."""

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

UNUSED = ("matplotlib", "sklearn")


@contextmanager
def lean_imports() -> Generator[None]:
    """Have Keras go without matplotlib and scikit-learn, for the whole process; for the first import of Keras.

    It imports them where it finds them, which is a third of the time that a scorer takes to start, and 80 MB of its
    memory. None in ``sys.modules`` tells an import that there is no such package. And Python looks for garbage again
    and again among the thousands of modules that come in, of which none is: a seventh of what is left of the time.
    """
    modules: Any = sys.modules
    modules.update(dict.fromkeys(UNUSED))
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
