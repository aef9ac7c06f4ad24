"""Errors told to people: an exception in a widget's callback would otherwise vanish."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from labkit.errors import LabError


@contextmanager
def telling(tell: Callable[[str], None]) -> Generator[None]:
    """Hand whatever the block raises to ``tell``, in words, and go on after the block."""
    try:
        yield
    except LabError as error:
        tell(str(error))
    except Exception as error:
        tell(f"unexpected {type(error).__name__}: {error}")
