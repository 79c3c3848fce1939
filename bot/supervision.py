"""Keeps adapters running: one that fails must not take the others' chats down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from bot.adapter import Adapter
from bot.errors import AdapterError

log = logging.getLogger(__name__)

FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds until an adapter that failed is run again; doubled each time."""

STOP = 5.0
"""Seconds for an adapter to end what it is receiving."""


async def receive_all(adapters: Sequence[Adapter], stop: asyncio.Event) -> None:
    """Run every adapter until it has nothing more to receive, or all are to stop.

    Raises:
        AdapterError: a platform refuses the bot.
    """
    stopping = asyncio.create_task(stop.wait())
    running = {asyncio.create_task(_supervise(one, stop)) for one in adapters}
    everything: set[asyncio.Task[Any]] = {stopping, *running}
    try:
        while running and not stopping.done():
            done, _ = await asyncio.wait({stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & running:
                task.result()
            running -= done
        for adapter in adapters:
            await adapter.stop()
        if running:
            await asyncio.wait(running, timeout=STOP)
    finally:
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)


async def _supervise(adapter: Adapter, stop: asyncio.Event) -> None:
    """Run an adapter; again if it fails, since the others' chats go on meanwhile."""
    pause = FIRST_RETRY
    while not stop.is_set():
        try:
            await adapter.run()
            return
        except AdapterError:
            raise
        except Exception:  # whatever it is, it must not take the other platforms down
            log.exception("%s failed, it is run again in %g s", adapter.platform, pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_RETRY)
