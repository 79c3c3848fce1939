"""Waiting for a time of day, by a wall clock that may be set at any time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

NAP = 30.0
"""Most seconds between two looks at the wall clock, which may be set at any time."""


async def sleep_until(hour: int, minute: int) -> None:
    """Sleep until the wall clock next shows a time; in naps, since it may be set meanwhile."""
    last = datetime.now().astimezone()
    while True:
        await asyncio.sleep(min(NAP, seconds_until(last, hour, minute)))
        now = datetime.now().astimezone()
        if last < now and last + timedelta(seconds=seconds_until(last, hour, minute)) <= now:
            return
        last = now


def seconds_until(now: datetime, hour: int, minute: int) -> float:
    """Return how long it is until the clock shows a time; more than 0, at most a day."""
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if then <= now:
        then += timedelta(days=1)
    return (then - now).total_seconds()
