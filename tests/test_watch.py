"""The watch in the background: it tells the newest answer, an error of the lab's, too, and ends."""

import threading
import time

from labkit.errors import LabError
from labkit.watch import Watch


def test_the_newest_answer_is_told() -> None:
    answers, asked = iter(["slot lost", LabError("PostgreSQL is away", "labkit status"), ""]), threading.Semaphore(0)

    def look() -> str:
        asked.release()
        answer = next(answers, "")
        if isinstance(answer, LabError):
            raise answer
        return answer

    watch = Watch(look, every_s=0.1)
    told: list[str] = []
    deadline = time.monotonic() + 10
    while len(told) < 3 and time.monotonic() < deadline:
        if not told or told[-1] != watch.problem:
            told.append(watch.problem)
        time.sleep(0.005)
    watch.stop()
    assert [words for words in told if words] == ["slot lost", "PostgreSQL is away → labkit status"]
    time.sleep(0.3)
    looks = 0
    while asked.acquire(blocking=False):
        looks += 1
    time.sleep(0.3)
    assert looks >= 3 and not asked.acquire(blocking=False)  # It looks no more.
