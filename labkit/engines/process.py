"""The process of an engine's job: it ends with whoever started it, and says what went wrong in one line."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

from labkit.errors import LabError

log = logging.getLogger("labkit.engines")


def run_until_told(run: Callable[[str, threading.Event], None]) -> None:
    """Run a job with the process's one argument, until a signal sets its event or its starter is gone.

    Args:
        run: Takes the argument and the event. A `LabError` of it is logged, and the process exits with 1.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("kafka", "py4j"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(sys.argv[1], stop)
    except LabError as error:
        log.error("%s; %s", error.problem, error.fix)
        sys.exit(1)


def _end_with_the_starter() -> None:
    # Whoever started this job holds the other end of its standard input; killed, it closes that.
    while os.read(0, 1):
        pass
    os._exit(1)
