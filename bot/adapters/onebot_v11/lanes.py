"""Work that keeps its order within a lane and waits for no other lane.

A chat's messages are handed in as they came, while the question whose message was replied
to in one chat holds up no other. A lane is gone once it is empty, so memory does not grow
with the chats seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Work: TypeAlias = Callable[[], Awaitable[None]]

_log = logging.getLogger(__name__)


class Lanes:
    """The lanes.

    Args:
        room: pieces of work that may wait in all of them; :meth:`put` waits for more room.
    """

    def __init__(self, room: int) -> None:
        self._room = asyncio.Semaphore(room)
        self._lanes: dict[str, deque[tuple[Work, asyncio.Future[bool]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._lanes)

    async def put(self, lane: str, work: Work) -> asyncio.Future[bool]:
        """Add work; returns what will tell whether it was done."""
        await self._room.acquire()
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if lane in self._lanes:
            self._lanes[lane].append((work, done))
            return done
        self._lanes[lane] = deque([(work, done)])
        task = asyncio.create_task(self._run(lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return done

    async def close(self, patience: float) -> None:
        """Finish what waits, for so many seconds at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        unfinished = list(self._tasks)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    async def _run(self, lane: str) -> None:
        queue = self._lanes[lane]
        try:
            while queue:
                work, done = queue.popleft()
                await self._do(work, done)
        finally:
            del self._lanes[lane]
            for _, done in queue:
                done.cancel()
                self._room.release()

    async def _do(self, work: Work, done: asyncio.Future[bool]) -> None:
        """Do one piece: its fault is ours, and ends neither the lane nor the connection."""
        finished = False
        try:
            await work()
            finished = True
        except Exception:
            _log.exception("an event could not be handed in")
        finally:
            self._room.release()
            if not done.done():
                done.set_result(finished)
