"""What an engine that scored until now may have left running on its cluster."""

from labkit.engines.catalog import LOCAL, PACKAGES, find_engine
from labkit.engines.flink_cluster import cancel_left_over, job_name
from labkit.engines.place import Place
from labkit.engines.progress import job_folder
from labkit.engines.reachable import check_reachable
from labkit.errors import LabError
from labkit.settings import Settings


def end_on_cluster(settings: Settings, engine: str, place: Place) -> None:
    """End the scoring job that a killed starter left on a cluster: it would score beside its successor.

    Only Flink's cluster runs a job without its starter. A cluster that does not answer runs nothing.

    Args:
        settings: The lab's.
        engine: What scored until now.
        place: Where.

    Raises:
        LabError: Who answers there is no Flink, or the job does not end.
    """
    if engine == LOCAL or place.is_here or find_engine(engine).packages != PACKAGES["flink"]:
        return
    try:
        check_reachable(find_engine(engine), place)
    except LabError:
        return
    cancel_left_over(place.master, job_name(job_folder(settings, engine)))
