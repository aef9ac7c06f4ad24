"""A Flink job's frame: where it runs, how it ends, and the savepoint that it leaves and goes on from."""

# Flink's packages are in their own environment, not in the one that is checked.
# pyright: reportMissingImports=false

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from labkit.engines.flink_cluster import cancel_left_over, free_slots, job_name
from labkit.engines.flink_end import LOOK_IN_LOG, why_it_ended
from labkit.engines.flink_savepoint import SAVEPOINTS, leave_savepoint
from labkit.engines.lag import Lag
from labkit.engines.options import WORKER_PYTHON, EngineOptions
from labkit.engines.place import Place
from labkit.engines.progress import Progress
from labkit.engines.shipped import ship_labkit
from labkit.errors import LabError
from labkit.settings import LOOPBACK

log = logging.getLogger("labkit.engines.flink")

CHECKPOINT_MS = 500
"""Predictions are seen when the checkpoint after them is complete: half a second is most of the latency."""
LOG4J = """\
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %p %c{1}: %m%n
# Each of these has something to say at every start, the last at every end.
logger.config.name = org.apache.flink.configuration
logger.config.level = ERROR
logger.token.name = org.apache.flink.runtime.security.token
logger.token.level = ERROR
logger.metrics.name = org.apache.flink.metrics
logger.metrics.level = ERROR
logger.beam.name = org.apache.beam
logger.beam.level = OFF
"""
JVM = "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.timezone=UTC"


def open_environment(options: EngineOptions, folder: Path, savepoint: str | None, most_parallel: int) -> Any:
    """Flink's environment for one job, here or on a session cluster.

    A cluster gets this labkit and its jars from here; the packages of ``labkit/engines/flink.txt`` have to be in the
    Python of its task managers, and the lab's folder has to be theirs, too: checkpoints and models are in it.

    Args:
        options: The job's.
        folder: Gets logs and checkpoints.
        savepoint: What the job goes on from.
        most_parallel: How many can share the work: a Kafka partition is read by one.

    Raises:
        LabError: The cluster has no room for the job.
    """
    log4j = folder / "log4j.properties"
    log4j.write_text(LOG4J)
    os.environ |= {
        "JVM_ARGS": JVM,
        "LOG4J_PROPERTIES": str(log4j),
        "FLINK_LOG_DIR": str(folder),
    }
    # These read the environment above when they start Java.
    from pyflink.common import Configuration
    from pyflink.datastream import StreamExecutionEnvironment

    here = options.place.is_here
    parallelism = str(_parallelism(options.place, most_parallel))
    worker_python = sys.executable if here else WORKER_PYTHON
    values = {
        "pipeline.name": job_name(folder),
        "pipeline.jars": ";".join(path.as_uri() for path in options.jars),
        "execution.checkpointing.interval": f"{CHECKPOINT_MS} ms",
        "execution.checkpointing.dir": options.checkpoint.as_uri(),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.savepoint-dir": (folder / SAVEPOINTS).as_uri(),
        # A failed job ends, and its successor goes on behind what is recorded, which knows more than a checkpoint.
        "restart-strategy.type": "none",
        "python.executable": worker_python,
        "python.client.executable": sys.executable,
        # Records wait for company no longer than this.
        "python.fn-execution.bundle.time": "20",
        "table.local-time-zone": "UTC",
        "parallelism.default": parallelism,
        "taskmanager.numberOfTaskSlots": parallelism,
        "rest.bind-address": LOOPBACK,
    }
    if savepoint is not None:
        # Claimed: Flink removes it once it has a newer one.
        values |= {"execution.state-recovery.path": savepoint, "execution.state-recovery.claim-mode": "CLAIM"}
    configuration = Configuration()
    for key, value in values.items():
        configuration.set_string(key, value)
    if here:
        return StreamExecutionEnvironment.get_execution_environment(configuration)
    environment = StreamExecutionEnvironment(_remote_environment(options, configuration))
    environment.add_python_file(ship_labkit(folder))
    return environment


def clear_the_way(options: EngineOptions, folder: Path) -> None:
    """Cancel what a killed starter has left on a cluster, before anybody looks from where to go on: it still goes on.

    Args:
        options: The job's.
        folder: The job's.

    Raises:
        LabError: Who answers there is no Flink, or a job does not end.
    """
    if not options.place.is_here:
        cancel_left_over(options.place.master, job_name(folder))


def _parallelism(place: Place, most: int) -> int:
    """In how many a job runs: no more than can share the work, and than there are."""
    if place.is_here:
        return min(place.threads or most, most)
    wanted = min(place.parallelism or most, most)
    free = free_slots(place.master, wanted)
    if free < wanted:
        log.warning("the job takes %d task slots, not %d: the others of the cluster are taken", free, wanted)
    return min(free, wanted)


def _remote_environment(options: EngineOptions, configuration: Any) -> Any:
    """Java's environment of a session cluster: Python's own makes none, whatever its configuration says."""
    import pyflink
    from pyflink.java_gateway import get_gateway
    from pyflink.util.java_utils import to_jarray

    (package,) = pyflink.__path__
    # What runs Python functions: a cluster's Flink may lack it.
    jars = [str(path) for path in (*options.jars, *Path(package).glob("opt/flink-python-*.jar"))]
    java = get_gateway().jvm
    host, _, port = options.place.master.rpartition(":")
    return java.org.apache.flink.streaming.api.environment.RemoteStreamEnvironment(
        host, int(port), configuration._j_configuration, to_jarray(java.java.lang.String, jars)
    )


def run_until_told(
    client: Any,
    folder: Path,
    stop: threading.Event,
    tell: Callable[[], None],
    reached: Callable[[], Mapping[str, int]] | None = None,
) -> None:
    """Tell how the job is until told to stop; then stop it with a savepoint.

    Args:
        client: Flink's JobClient.
        folder: Gets the savepoint and its note.
        stop: Set to end it.
        tell: Called twice a second meanwhile.
        reached: Tells how far the job is, once it has stopped, for a note beside the savepoint; None for no note.

    Raises:
        LabError: The job has ended by itself, or cannot tell how it is any more, and was cancelled.
    """
    from py4j.protocol import Py4JError

    result = client.get_job_execution_result()
    try:
        while not result.done():
            if stop.wait(0.5):
                path = client.stop_with_savepoint(False, (folder / SAVEPOINTS).as_uri()).result()
                if reached is not None:
                    leave_savepoint(folder, path, reached())
                log.info("stopped with the savepoint %s", path)
                return
            tell()
    except (Py4JError, LabError) as error:
        with suppress(Py4JError):
            client.cancel().result()  # On a cluster it would go on without us. One that starts has no savepoint yet.
        if isinstance(error, LabError):
            raise
        if stop.is_set():
            log.warning("stopped without a savepoint: %s", str(error).splitlines()[0])
            return
        raise LabError(f"Flink's Java has ended: {str(error).splitlines()[0]}", LOOK_IN_LOG) from error
    raise why_it_ended(str(result.exception()))


def tell_progress(options: EngineOptions, lag: Lag | None = None) -> None:
    """Write down how a job is.

    Args:
        options: The job's.
        lag: Measures how far it is behind; None where nobody can tell in records.
    """
    waiting = None if lag is None else lag.measure()
    Progress(lag=waiting, checkpoint_s=_newest_checkpoint_s(options.checkpoint)).write(options.progress)


def _newest_checkpoint_s(checkpoints: Path) -> float:
    """When the newest one was complete, seconds since the Unix epoch; when this run began, before the first."""
    newest = 0.0
    for path in (checkpoints, *checkpoints.glob("*/chk-*/_metadata")):
        with suppress(FileNotFoundError):  # Flink removes it once there is a newer one.
            newest = max(newest, path.stat().st_mtime)
    return newest
