"""The watch in the background: it tells the newest answer, an error of the lab's, too, and ends."""

import threading
import time

from labkit.errors import LabError
from labkit.watch import Watch


def test_the_newest_answer_is_told() -> None:
    answers, go_on, looks = (
        iter(["slot lost", LabError("PostgreSQL is away", "labkit status"), ""]),
        threading.Semaphore(0),
        [],
    )

    def look() -> str:
        go_on.acquire()
        looks.append(time.monotonic())
        answer = next(answers, "")
        if isinstance(answer, LabError):
            raise answer
        return answer

    watch = Watch(look, every_s=0.01)
    assert watch.problem == ""
    for words in ("slot lost", "PostgreSQL is away → labkit status", ""):
        go_on.release()
        deadline = time.monotonic() + 30
        while watch.problem != words and time.monotonic() < deadline:
            time.sleep(0.01)
        assert watch.problem == words
    watch.stop()
    for _ in range(10):
        go_on.release()
    time.sleep(0.5)
    assert len(looks) <= 4  # The look that was under way, and no more.
