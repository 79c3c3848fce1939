"""Waiting for a time of day, by a wall clock that may be set at any time.

What counts is what the clock on the wall shows, without its zone: the hour that summer time
leaves out is jumped over like any other, and the hour that it repeats has been shown before.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

NAP = 30.0
"""Most seconds between two looks at the wall clock, which may be set at any time."""

DAY = timedelta(days=1)

LATE = timedelta(hours=12)
"""How late is too late for a time that was jumped over: from here on the next one is nearer."""


async def sleep_until(hour: int, minute: int) -> None:
    """Sleep until the wall clock shows a time that it has not shown on that date yet.

    In naps, since the clock may be set meanwhile. A time that it jumps over has come, if that
    is not :data:`LATE`. Set back, it does not come twice for a date; set back by more than a
    day, the clock was wrong, and what it has shown does not count.
    """
    done = _latest(datetime.now(), hour, minute)
    while True:
        await asyncio.sleep(min(NAP, seconds_until(datetime.now(), hour, minute)))
        now = datetime.now()
        latest = _latest(now, hour, minute)
        if latest > done and now - latest < LATE:
            return
        if done - latest > DAY:
            done = latest


def seconds_until(now: datetime, hour: int, minute: int) -> float:
    """Return how long it is until the clock shows a time; more than 0, at most a day."""
    return (_latest(now, hour, minute) + DAY - now).total_seconds()


def _latest(now: datetime, hour: int, minute: int) -> datetime:
    """Return when the clock last showed a time."""
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return then if then <= now else then - DAY
