"""How much the bot can be asked, so that one person cannot keep it from all others.

Counted over a sliding window on a clock that never jumps. Whoever is beyond the limit is
told so once a window, and then not answered: refusals must not become a flood either.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Literal

from bot.config import Limits

Verdict = Literal["welcome", "tell", "silent"]


class RateLimit:
    """Counts what each person asks.

    Args:
        limits: how much is too much.
        clock: seconds that only grow.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._asked: deque[tuple[float, str]] = deque()
        self._counts: Counter[str] = Counter()
        self._told: dict[str, float] = {}

    def ask(self, user: str) -> Verdict:
        """Count a message of ``user``; whether it is welcome, and if not, whether to say so."""
        now = self._clock()
        self._forget(now - self._limits.window)
        too_much = len(self._asked) >= self._limits.overall
        if too_much or self._counts[user] >= self._limits.per_user:
            return self.refuse(user)
        self._asked.append((now, user))
        self._counts[user] += 1
        return "welcome"

    def refuse(self, user: str) -> Verdict:
        """Turn ``user`` away for another reason; whether to say so."""
        now = self._clock()
        self._forget(now - self._limits.window)
        if user in self._told:
            return "silent"
        self._told[user] = now
        return "tell"

    def _forget(self, before: float) -> None:
        """Drop what has left the window: nothing is kept of people who are gone."""
        while self._asked and self._asked[0][0] <= before:
            _, user = self._asked.popleft()
            self._counts[user] -= 1
            if not self._counts[user]:
                del self._counts[user]
        while self._told:  # in the order in which they were told
            user, told = next(iter(self._told.items()))
            if told > before:
                break
            del self._told[user]
