"""One worker a session: a chat is answered in its own order, and no chat waits for another.

A worker is a task that lives while its session has something to do, so memory does not grow
with the number of chats seen. Nothing durable is here: what waits is in the inbox too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.event import SessionKey
from bot.store import Accepted

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]
Answering = Callable[[list[Accepted]], Awaitable[None]]
Joins = Callable[[Accepted, Accepted], bool]


@dataclass
class _Queue:
    """What one session has to do, and the task that does it."""

    waiting: deque[Accepted | Work] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Sessions:
    """The workers of all sessions.

    Args:
        answer: answers events of one session, in the order of their arrival.
        joins: whether the second event says more of what the first began.
        debounce: seconds to wait for such a one; 0 does not.
        limit: most that may wait in a session.
    """

    def __init__(self, answer: Answering, joins: Joins, *, debounce: float, limit: int) -> None:
        self._answer = answer
        self._joins = joins
        self._debounce = debounce
        self._limit = limit
        self._queues: dict[SessionKey, _Queue] = {}

    def __len__(self) -> int:
        """Return how many sessions have something to do."""
        return len(self._queues)

    def is_full(self, key: SessionKey) -> bool:
        """Tell whether no more may wait in a session."""
        queue = self._queues.get(key)
        return queue is not None and len(queue.waiting) >= self._limit

    def put(self, key: SessionKey, work: Accepted | Work) -> None:
        """Have something done after all that the session has to do; the limit is the caller's."""
        queue = self._queues.setdefault(key, _Queue())
        queue.waiting.append(work)
        if queue.task is None:
            queue.task = asyncio.create_task(self._work(key, queue), name=f"session {key}")

    def withdraw(self, key: SessionKey, which: Callable[[Accepted], bool]) -> list[Accepted]:
        """Take events that wait in a session out of it; they are the caller's again."""
        queue = self._queues.get(key)
        if queue is None:
            return []
        taken = [one for one in queue.waiting if isinstance(one, Accepted) and which(one)]
        queue.waiting = deque(one for one in queue.waiting if one not in taken)
        return taken

    def busy(self) -> list[SessionKey]:
        """Return the sessions that have something to do."""
        return list(self._queues)

    async def idle(self) -> None:
        """Wait until no session has anything to do."""
        while tasks := self._tasks():
            await asyncio.wait(tasks)

    async def drain(self, seconds: float) -> bool:
        """Wait for all work, then end what is left; returns whether nothing was.

        What is ended stays in the inbox or the outbox for the next start.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (tasks := self._tasks()) and (patience := end - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=patience)
        left = self._tasks()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return not left

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [queue.task for queue in self._queues.values() if queue.task is not None]

    async def _work(self, key: SessionKey, queue: _Queue) -> None:
        try:
            while queue.waiting:
                await self._pause(queue)
                if not queue.waiting:  # it was withdrawn meanwhile
                    break
                work = queue.waiting.popleft()
                try:
                    await self._do(queue, work)
                except BaseException as error:
                    if not isinstance(error, Exception | asyncio.CancelledError) or is_ended(error):
                        raise
                    # One message's failure must not stop those behind it.
                    log.exception("session %s: a message could not be dealt with", key)
        finally:
            del self._queues[key]

    async def _do(self, queue: _Queue, work: Accepted | Work) -> None:
        if isinstance(work, Accepted):
            await self._answer(self._joined(queue, work))
        else:
            await work()

    async def _pause(self, queue: _Queue) -> None:
        """Wait until nothing more comes for a moment, if what is first may be gone on with."""
        if not self._is_open(queue.waiting[0]):
            return
        before = -1
        while before != len(queue.waiting):
            before = len(queue.waiting)
            await asyncio.sleep(self._debounce)

    def _is_open(self, work: Accepted | Work) -> bool:
        """Tell whether others may go on with what an event began."""
        return bool(self._debounce) and isinstance(work, Accepted) and self._joins(work, work)

    def _joined(self, queue: _Queue, first: Accepted) -> list[Accepted]:
        """Take all that belongs together with ``first``, and follows it."""
        events = [first]
        while queue.waiting and isinstance(more := queue.waiting[0], Accepted):
            if not self._is_open(first) or not self._joins(first, more):
                break
            events.append(more)
            queue.waiting.popleft()
        return events


def is_ended(error: BaseException) -> bool:
    """Tell whether an error is that this task is ended, and not one that it awaited."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and bool(task and task.cancelling())
