from bot.config import Limits
from bot.limits import RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_whoever_asks_too_much_is_told_once_a_window() -> None:
    clock = Clock()
    limit = RateLimit(Limits(per_user=2, window=60), clock)
    verdicts = [limit.ask("ann") for _ in range(5)]
    assert verdicts == ["welcome", "welcome", "tell", "silent", "silent"]
    assert limit.ask("bob") == "welcome"
    clock.now += 60
    assert limit.ask("ann") == "welcome"


def test_everybody_together_is_bounded_too() -> None:
    limit = RateLimit(Limits(per_user=5, overall=3), Clock())
    assert [limit.ask(name) for name in "abcd"] == ["welcome"] * 3 + ["tell"]


def test_nothing_is_kept_of_people_who_are_gone() -> None:
    clock = Clock()
    limit = RateLimit(Limits(per_user=1, overall=1, window=1), clock)
    for number in range(1000):
        clock.now += 0.6
        limit.ask(str(number))
    assert len(limit._asked) + len(limit._counts) + len(limit._told) < 10
