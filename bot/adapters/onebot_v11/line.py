"""Trying a connection again: how long to wait, and what to say about it.

One line for an outage and one for its end: what is logged every minute for a whole night
is read by nobody. A new reason is news again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

from bot.adapter import Link
from bot.adapters.onebot_v11.calls import Timing
from trainer.language import say

_log = logging.getLogger(__name__)


class Line:
    """The state of one connection that is ours to keep up.

    Args:
        name: what it connects, for people.
        timing: how long to wait.
    """

    def __init__(self, name: str, timing: Timing) -> None:
        self._name = name
        self._timing = timing
        self._failures = 0
        self._since: float | None = None
        self._up_since = 0.0
        self._detail = say(zh="还没有连上", en="not connected yet")

    @property
    def is_up(self) -> bool:
        """It works now, as far as is known."""
        return self._since is not None

    @property
    def link(self) -> Link:
        """As ``/healthz`` shows it."""
        return Link(self._name, self.is_up, self._detail, self._up_since)

    def works(self) -> None:
        """Note that it works; said where it did not."""
        if self.is_up:
            return
        tries = self._failures
        _log.info(
            say(
                zh=f"{self._name} 连上了" + (f"（之前失败了 {tries} 次）" if tries else ""),
                en=f"{self._name} is connected" + (f" after {tries} failures" if tries else ""),
            )
        )
        self._since, self._detail = time.monotonic(), ""
        self._up_since = time.time()

    def fails(self, reason: str, *, refused: bool = False) -> float:
        """Note that it failed; returns the seconds to wait.

        A connection that held for longer than it would now be waited for had recovered. A
        refusal waits longest: somebody has to mend it, and asking faster may be taken amiss.
        """
        if reason != self._detail:
            _log.warning(
                say(
                    zh=f"{self._name} 不通，会一直重试：{reason}",
                    en=f"{self._name} fails and is tried again and again: {reason}",
                )
            )
        if self._since is not None and time.monotonic() - self._since > self._wait:
            self._failures = 0
        wait = self._timing.longest if refused else self._wait
        self._failures += 1
        self._since, self._detail, self._up_since = None, reason, 0.0
        return wait * random.uniform(0.8, 1.0)  # so that many bots do not come back at once

    @property
    def _wait(self) -> float:
        return min(self._timing.first * 2.0 ** min(self._failures, 32), self._timing.longest)


async def pause(stopped: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until ``stopped`` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stopped.wait()
    except TimeoutError:
        return
