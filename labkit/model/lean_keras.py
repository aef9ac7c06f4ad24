"""Keras without the packages that scoring has no use for."""

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

UNUSED = ("matplotlib", "sklearn")


@contextmanager
def lean_imports() -> Generator[None]:
    """Have Keras go without matplotlib and scikit-learn, for the whole process. Keras must not have been imported yet.

    It imports them where it finds them, which is a third of the time that a scorer takes to start, and 80 MB of its
    memory. None in ``sys.modules`` tells an import that there is no such package. Of what is left Python spends a
    seventh on looking for garbage among the thousands of new modules, again and again: meanwhile it does not look.
    """
    modules: Any = sys.modules
    modules.update(dict.fromkeys(UNUSED))
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
