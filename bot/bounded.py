"""Waits for a coroutine for so long; one that never waits is spared the timer.

A timer is made, armed and taken down for several times what a short plugin costs. So a
coroutine is run up to its first wait at once (as eager tasks do from Python 3.12 on), and
most have ended by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")

GRACE = 1.0
"""Seconds for a coroutine that was told to end; then it is run no further."""


async def bounded(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return what ``work`` returns.

    Raises:
        TimeoutError: it waited longer, or went on waiting when it was told to end.
    """
    try:
        first = work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    async with asyncio.timeout(seconds + GRACE) as grace, asyncio.timeout(seconds):
        return await _Rest(work, first, grace)


class _Rest(Generic[T]):
    """A coroutine that waits for ``first``: what is awaited of it then."""

    def __init__(self, work: Coroutine[Any, Any, T], first: Any, grace: asyncio.Timeout) -> None:
        self._work = work
        self._first = first
        self._grace = grace

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._first
        while True:
            try:
                try:
                    got = yield waits_for
                except BaseException as error:
                    if self._grace.expired():  # it was told to end, and waits still
                        with suppress(RuntimeError):  # it catches this, too
                            self._work.close()
                        raise
                    waits_for = self._work.throw(error)
                else:
                    waits_for = self._work.send(got)
            except StopIteration as end:
                value: T = end.value
                return value
