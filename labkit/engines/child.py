"""What every engine's job does as a process: it is told its options, ends when told to, and with its starter."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from py4j.protocol import Py4JError  # pyright: ignore[reportMissingImports] - the engines bring it
from pydantic import BaseModel

from labkit.errors import LabError

log = logging.getLogger("labkit.engines")

Options = TypeVar("Options", bound=BaseModel)


def run_as_child(run: Callable[[Options, threading.Event], None], options: type[Options]) -> None:
    """Run a job in this process until it ends.

    Args:
        run: The job: gets its options, and an event that is set when it is to end. A `LabError` of it is logged, and
            the process exits with 1.
        options: Their type. The process's one argument is such options as JSON.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    own = logging.getLogger("labkit")
    own.setLevel(logging.INFO)
    # Engines have their own opinion of the root logger: Flink's takes its handlers away, and sends what is said then to
    # a worker that has ended.
    own.addHandler(handler)
    own.propagate = False
    for noisy in ("kafka", "py4j", "apache_beam"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(options.model_validate_json(sys.argv[1]), stop)
    except LabError as error:
        log.error("%s; %s", error.problem, error.fix)
        sys.exit(1)
    except Py4JError as error:
        log.error("the engine's Java has ended, or refuses: %s; the lines above say more", str(error).splitlines()[0])
        sys.exit(1)


def _end_with_the_starter() -> None:
    # Whoever started this job holds the other end of its standard input; killed, it closes that.
    while os.read(0, 1):
        pass
    os._exit(1)
