"""What every engine's job does as a process: it is told its options, ends when told to, and with its starter."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

from labkit.engines.options import JobOptions
from labkit.errors import LabError

log = logging.getLogger("labkit.engines")


def run_as_child(run: Callable[[JobOptions, threading.Event], None]) -> None:
    """Run a job in this process until it ends.

    Args:
        run: The job: gets its options, and an event that is set when it is to end.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("labkit").setLevel(logging.INFO)  # Engines have their own opinion of the root logger.
    for noisy in ("kafka", "py4j", "apache_beam"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(JobOptions.model_validate_json(sys.argv[1]), stop)
    except LabError as error:
        log.error("%s; %s", error.problem, error.fix)
        sys.exit(1)


def _end_with_the_starter() -> None:
    # Whoever started this job holds the other end of its standard input; killed, it closes that.
    while os.read(0, 1):
        pass
    os._exit(1)
