"""Imports that an interrupt cannot leave half done."""

import importlib
import threading


def import_whole(module: str) -> None:
    """Import a module, to its end even if the user interrupts meanwhile.

    TensorFlow takes seconds to import, and once interrupted halfway it cannot be imported again in that kernel. Python
    raises `KeyboardInterrupt` in the main thread alone, so the import runs in another: who interrupts has the cell back
    at once, and the import goes on.

    Args:
        module: Its full name; a module that was imported before costs nothing.

    Raises:
        Exception: Whatever the import raises, raised here by importing it once more.
    """
    thread = threading.Thread(target=_try_import, args=(module,), name=f"import {module}")
    thread.start()
    thread.join()
    importlib.import_module(module)


def _try_import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:
        return  # The caller's own import raises it, where somebody sees it.
