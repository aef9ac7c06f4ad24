"""What waits for its other half: all of the newest, and an even sample of the older ones."""

from labkit.model.waiting import Waiting


def kept(waiting: Waiting[int, int], numbers: range) -> list[int]:
    """Which of the numbers wait; they are taken away."""
    return [number for number in numbers if waiting.pop(number) is not None]


def test_few_all_wait() -> None:
    waiting: Waiting[int, int] = Waiting(10, 10)
    for number in range(20):
        waiting.put(number, number)
    assert len(waiting) == 20
    assert kept(waiting, range(20)) == list(range(20))
    assert len(waiting) == 0 and waiting.pop(3) is None


def test_of_many_the_newest_wait_and_an_even_sample_of_the_others() -> None:
    waiting: Waiting[int, int] = Waiting(100, 100)
    for number in range(5000):
        waiting.put(number, number)
        assert len(waiting) <= 200
    found = kept(waiting, range(5000))
    assert found[-100:] == list(range(4900, 5000))
    older = found[:-100]
    assert 50 <= len(older) <= 100
    gaps = {second - first for first, second in zip(older, older[1:], strict=False)}
    assert len(gaps) == 1, "as many from each stretch of time"
    assert older[0] < 2 * max(gaps) and older[-1] > 4900 - 2 * max(gaps)


def test_a_backlog_that_has_shrunk_is_kept_as_densely_as_a_small_one() -> None:
    waiting: Waiting[int, int] = Waiting(100, 100)
    for number in range(10_000):
        waiting.put(number, number)
        waiting.pop(number - 1000)
    kept(waiting, range(9850))  # The other side has caught up to 150 behind.
    joined = 0
    for number in range(10_000, 15_000):
        waiting.put(number, number)
        joined += waiting.pop(number - 150) is not None
    assert joined > 4800


def test_once_the_backlog_is_gone_all_wait_again() -> None:
    waiting: Waiting[int, int] = Waiting(10, 10)
    for number in range(1000):
        waiting.put(number, number)
    kept(waiting, range(1000))
    for number in range(1000, 1020):
        waiting.put(number, number)
    assert kept(waiting, range(1000, 1020)) == list(range(1000, 1020))
