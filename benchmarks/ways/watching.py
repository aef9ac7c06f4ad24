"""An open dashboard, as a process of the benchmark: a notebook's kernel without the notebook."""

import time

from benchmarks.ways.child import tell, told
from labkit import Lab
from labkit.settings import load_settings

LOOK_S = 0.5


if __name__ == "__main__":
    place = told()
    lab = Lab(load_settings().model_copy(update={"home": place.models.parent}))
    dashboard = lab.dashboard()
    while True:
        tell(rows=lab.view.state().predictions_seen)
        time.sleep(LOOK_S)
