"""A connection that says when it fails and when it recovers, and how long to wait between.

One line for an outage and one for its end: what is logged every few seconds for a whole
night is read by nobody. A new reason is news again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiogram.utils.backoff import Backoff, BackoffConfig

from bot.adapter import Link
from trainer.language import say

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Line:
    """The state of one connection.

    Args:
        name: what it connects, for people.
        backoff: how long to wait after one failure, and after many.
    """

    def __init__(self, name: str, backoff: BackoffConfig) -> None:
        self.name = name
        self._backoff = Backoff(backoff)
        self._up, self._detail = False, say(zh="还没有连上", en="not connected yet")
        self._since = 0.0
        self._told: set[str] = set()

    @property
    def link(self) -> Link:
        """As ``/healthz`` shows it."""
        return Link(self.name, self._up, self._detail, self._since)

    def works(self) -> None:
        """Note that it works; said where it did not."""
        if not self._up:
            tries = self._backoff.counter
            log.info(
                say(
                    zh=f"{self.name} 连上了" + (f"（之前失败了 {tries} 次）" if tries else ""),
                    en=f"{self.name} is connected" + (f" after {tries} failures" if tries else ""),
                )
            )
            self._since = time.time()
        self._up, self._detail = True, ""
        self._told.clear()
        self._backoff.reset()

    def fails(self, reason: str) -> float:
        """Note that it failed; returns the seconds to wait."""
        if reason not in self._told:
            log.warning(
                say(
                    zh=f"{self.name} 收不了消息，会一直重试：{reason}",
                    en=f"{self.name} cannot receive and is tried again and again: {reason}",
                )
            )
        self._up, self._detail, self._since = False, reason, 0.0
        self._told.add(reason)
        return max(0.0, next(self._backoff))


async def unless(stopped: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """Do ``work``; gives it up and returns None once ``stopped`` is set."""
    task, stop = asyncio.create_task(work), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stop.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
