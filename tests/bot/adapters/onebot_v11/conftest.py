"""The real adapter on real sockets, against the fake implementation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.adapters.onebot_v11.adapter import OneBotV11
from bot.adapters.onebot_v11.calls import Timing
from bot.adapters.onebot_v11.config import OneBotConfig
from bot.event import Account, Chat, Event, Outgoing
from tests.bot.adapters.inbox import Inbox as MemoryInbox
from tests.fakes.onebot import QQ

TIMING = Timing(
    call=0.5, ask=0.5, ping=5, part=0.2, again=0.02, watch=0.05, first=0.02, longest=0.1
)


@pytest.fixture(autouse=True)
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def qq() -> QQ:
    return QQ()


class Inbox(MemoryInbox):
    """Waits for what is to come; QQ's groups never move."""

    async def move_chat(self, account: Account, old: str, new: str) -> None:
        raise AssertionError("QQ has no groups that move")

    async def until(self, number: int) -> list[Event]:
        await eventually(lambda: len(self.events) >= number)
        return self.events


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


async def eventually(is_so: Callable[[], Any], timeout: float = 5) -> None:
    """Wait until something is so, and fail if it never is."""
    async with asyncio.timeout(timeout):
        while not is_so():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(
    inbox: Inbox, timing: Timing = TIMING, **settings: Any
) -> AsyncIterator[OneBotV11]:
    """Run the adapter as the bot does."""
    if settings.get("transport") != "forward_websocket":
        settings.setdefault("port", 0)
    adapter = OneBotV11(OneBotConfig.model_validate(settings), inbox, timing)
    try:
        await adapter.start()
        task = asyncio.create_task(adapter.run())
        yield adapter
        await adapter.stop()
        async with asyncio.timeout(5):
            await task
    finally:
        await adapter.close()


def address(adapter: OneBotV11) -> str:
    """Where a running adapter listens for WebSockets."""
    return f"ws://127.0.0.1:{adapter.port}/onebot/v11/ws"


def outgoing(text: str, chat: str = "group-1", self_id: str = "10001", **more: Any) -> Outgoing:
    kind = "group" if chat.startswith("group") else "private"
    return Outgoing("1", Account("onebot_v11", self_id), Chat(chat, kind), text, **more)  # type: ignore[arg-type]
