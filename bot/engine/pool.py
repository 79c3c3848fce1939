"""Engines off the event loop: heartbeats and other chats go on while a model thinks.

An engine is ordinary code that blocks (:class:`bot.engine.Engine`), so each reply runs in
one of a few threads; how many is the limit on replies at a time. A reply that takes too
long, or that nobody wants any more, is given up at once for whoever waits; its thread is
free again at the model's next word, or when the engine asks whether it is wanted.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from bot.engine import Engine, wanted_while
from bot.errors import EngineError
from trainer.chat import Message
from trainer.language import say


class Interrupted(Exception):  # noqa: N818  nothing went wrong
    """A reply is not wanted any more."""


@dataclass(frozen=True, slots=True)
class _End:
    """The reply is over, with an error or without."""

    error: BaseException | None = None


class EnginePool:
    """A few threads in which engines answer.

    Args:
        replies: replies at a time; more wait for their turn.
        deadline: seconds for a reply, the waiting included.
    """

    def __init__(self, replies: int, deadline: float) -> None:
        self._threads = ThreadPoolExecutor(replies, thread_name_prefix="engine")
        self._deadline = deadline

    def answer(self, engine: Engine, messages: Sequence[Message]) -> Thought:
        """Begin a reply to ``messages``."""
        thought = Thought(self._deadline)
        if getattr(engine, "blocks", True):
            work = copy_context().run  # the spoken language goes along
            self._threads.submit(work, thought.think, engine, tuple(messages))
        else:
            thought.think(engine, tuple(messages))
        return thought

    def close(self) -> None:
        """Begin no more replies; those that were begun end with their engines."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Thought:
    """A reply while it grows, see :meth:`EnginePool.answer`."""

    def __init__(self, deadline: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._steps: asyncio.Queue[str | _End] = asyncio.Queue()
        self._unwanted = False
        self._timer = self._loop.call_later(deadline, self._expire, deadline)

    async def stream(self) -> AsyncIterator[str]:
        """Yield the reply so far, each time it has changed.

        Raises:
            EngineError: it took too long, or the engine says why it cannot.
            Interrupted: :meth:`interrupt` was called.
        """
        try:
            while not isinstance(step := await self._steps.get(), _End):
                yield step
            if step.error is not None:
                raise step.error
        finally:
            self._timer.cancel()
            self._unwanted = True

    def interrupt(self) -> None:
        """End the reply; its reader gets :class:`Interrupted`."""
        self._end(Interrupted())

    def think(self, engine: Engine, messages: Sequence[Message]) -> None:
        """Run the engine; in a thread of the pool, if it blocks."""
        if self._unwanted:
            return
        try:
            with wanted_while(lambda: not self._unwanted):
                for reply in engine.stream(messages):
                    if self._unwanted:
                        return
                    self._put(reply)
        except Exception as error:  # whatever it is, it is for the reader to deal with
            self._put(_End(error))
        else:
            self._put(_End())

    def _put(self, step: str | _End) -> None:
        if threading.get_ident() == self._thread:
            self._steps.put_nowait(step)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._steps.put_nowait, step)

    def _expire(self, deadline: float) -> None:
        self._end(_too_late(deadline))

    def _end(self, error: Exception) -> None:
        self._unwanted = True
        self._steps.put_nowait(_End(error))


def _too_late(deadline: float) -> EngineError:
    return EngineError(
        say(zh=f"{deadline:g} 秒内没有回答完", en=f"no reply within {deadline:g} seconds"),
        fix=say(
            zh="调大 limits.deadline，或减少 limits.replies",
            en="raise limits.deadline, or lower limits.replies",
        ),
        code="deadline",
    )
