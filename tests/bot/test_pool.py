import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from bot.engine.echo import EchoEngine
from bot.engine.pool import EnginePool, Interrupted
from bot.errors import EngineError
from bot.testing import TESTER
from trainer.chat import Message

pytestmark = pytest.mark.anyio

HELLO = (Message("user", "hi"),)


class Steps(EchoEngine):
    """Says a word a step, each when it is let to; counts how many are under way."""

    blocks = True

    def __init__(self, words: int) -> None:
        super().__init__(TESTER)
        self.words = words
        self.steps = threading.Semaphore(0)
        self.running = self.most = 0
        self.closed = threading.Event()

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for number in range(1, self.words + 1):
                self.steps.acquire(timeout=5)
                yield "word " * number
        finally:
            self.running -= 1
            self.closed.set()


async def test_it_streams() -> None:
    pool, engine = EnginePool(1, 5), Steps(3)
    engine.steps.release(3)
    replies = [reply async for reply in pool.answer(engine, HELLO).stream()]
    assert [len(reply) for reply in replies] == [5, 10, 15]
    pool.close()


async def test_no_more_than_the_limit_think_at_a_time() -> None:
    pool, engine = EnginePool(2, 5), Steps(1)

    async def reply() -> list[str]:
        return [text async for text in pool.answer(engine, HELLO).stream()]

    waiting = asyncio.gather(*(reply() for _ in range(6)))
    await asyncio.sleep(0.05)
    assert engine.running == 2
    engine.steps.release(6)
    assert await waiting == [["word "]] * 6 and engine.most == 2
    pool.close()


async def test_the_loop_goes_on_and_the_deadline_counts_the_waiting() -> None:
    pool, engine = EnginePool(1, 0.2), Steps(1)
    thoughts = [pool.answer(engine, HELLO) for _ in range(2)]
    began = asyncio.get_running_loop().time()
    for thought in thoughts:
        with pytest.raises(EngineError, match=r"no reply within 0\.2 seconds"):
            [reply async for reply in thought.stream()]
    assert asyncio.get_running_loop().time() - began < 0.5
    engine.steps.release(2)
    assert await asyncio.to_thread(engine.closed.wait, 5)
    engine.closed.clear()
    engine.steps.release()
    assert [reply async for reply in pool.answer(engine, HELLO).stream()] == ["word "]
    pool.close()


async def test_an_interrupt_ends_it_at_once_and_frees_the_thread_at_the_next_word() -> None:
    pool, engine = EnginePool(1, 5), Steps(100)
    thought = pool.answer(engine, HELLO)
    engine.steps.release()
    asyncio.get_running_loop().call_later(0.05, thought.interrupt)
    with pytest.raises(Interrupted):
        [reply async for reply in thought.stream()]
    engine.steps.release()
    assert await asyncio.to_thread(engine.closed.wait, 5)
    pool.close()


async def test_what_an_engine_raises_reaches_the_reader() -> None:
    class Failing(EchoEngine):
        def stream(self, messages: Sequence[Message]) -> Iterator[str]:
            yield "a"
            raise LookupError("mine")

    pool = EnginePool(1, 5)
    with pytest.raises(LookupError, match="mine"):
        [reply async for reply in pool.answer(Failing(TESTER), HELLO).stream()]
    pool.close()
