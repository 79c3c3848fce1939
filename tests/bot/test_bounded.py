"""A coroutine that is bounded behaves as one that is awaited."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from bot.bounded import bounded

pytestmark = pytest.mark.anyio


async def value(waits: int) -> int:
    for _ in range(waits):
        await asyncio.sleep(0)
    return waits


async def error(waits: int) -> None:
    await value(waits)
    raise LookupError


@pytest.mark.parametrize("waits", [0, 1, 3])
async def test_results_and_errors_pass(waits: int) -> None:
    assert await bounded(value(waits), 5) == waits
    with pytest.raises(LookupError):
        await bounded(error(waits), 5)


async def test_it_runs_up_to_its_first_wait_at_once_in_the_same_task() -> None:
    seen: list[Any] = []

    async def look() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    await bounded(look(), 5)
    assert seen == [asyncio.current_task()] * 2


async def test_one_that_waits_too_long_is_ended() -> None:
    ended: list[str] = []

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("here")

    with pytest.raises(TimeoutError):
        await bounded(long(), 0.01)
    assert ended == ["here"]


async def test_one_that_goes_on_after_it_was_told_to_end_is_waited_for() -> None:
    async def stubborn() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(0.01)
        return "done"

    assert await bounded(stubborn(), 0.01) == "done"


async def test_who_waits_for_it_can_be_cancelled() -> None:
    async def outer(work: Coroutine[Any, Any, Any]) -> None:
        await bounded(work, 60)

    task = asyncio.create_task(outer(asyncio.sleep(60)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_errors_of_what_it_waits_for_reach_it() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait() -> str:
        try:
            await future
        except LookupError:
            await asyncio.sleep(0)
            return "caught"
        return "none"

    asyncio.get_running_loop().call_later(0.01, future.set_exception, LookupError())
    assert await bounded(wait(), 5) == "caught"


async def test_what_it_cancels_itself_is_none_of_its_end() -> None:
    async def tidy() -> str:
        for _ in range(3):
            task = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for _ in range(3):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(60)
        return "tidied"

    assert await bounded(tidy(), 5) == "tidied"


async def test_one_that_will_not_end_is_run_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.bounded.GRACE", 0.05)
    steps: list[int] = []

    async def stubborn() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            steps.append(1)

    with pytest.raises(TimeoutError):
        await bounded(stubborn(), 0.01)
    assert len(steps) == 1
    await asyncio.sleep(0.05)
    assert len(steps) == 1
