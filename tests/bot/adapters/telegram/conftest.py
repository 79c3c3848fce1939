"""The real adapter on a real socket, against the fake Bot API server."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiogram.utils.backoff import BackoffConfig

from bot.adapters.telegram.adapter import Telegram, Timing
from bot.adapters.telegram.config import TelegramConfig, WebhookConfig
from bot.adapters.telegram.sending import Pace
from bot.event import Account, Chat, Outgoing
from tests.bot.adapters.inbox import Inbox as MemoryInbox
from tests.fakes.bot_api import TOKEN, BotApi

TIMING = Timing(
    poll=20,
    answer=3,
    role=0.3,
    watch=0.05,
    backoff=BackoffConfig(min_delay=0.02, max_delay=0.1, factor=1.5, jitter=0.001),
    pace=Pace(draft=0.05, edit=0.05, reconnect=0.5),
)
ME = Account("telegram", TOKEN.partition(":")[0])


@pytest.fixture(autouse=True)
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_TOKEN", TOKEN)


@pytest.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi() as server:
        yield server


class Inbox(MemoryInbox):
    """Notes, too, which groups moved where."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[tuple[str, str]] = []

    async def move_chat(self, account: Account, old: str, new: str) -> None:
        assert account == ME
        self.moves.append((old, new))


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def settings(api: BotApi, **more: Any) -> TelegramConfig:
    return TelegramConfig(token_env="TELEGRAM_TOKEN", api_url=api.address, **more)


@asynccontextmanager
async def running(
    api: BotApi, inbox: Inbox, *, webhook: bool = False, timing: Timing = TIMING, **more: Any
) -> AsyncIterator[Telegram]:
    """The adapter from start to close."""
    if webhook:
        port = free_port()
        more["webhook"] = WebhookConfig(url=f"http://127.0.0.1:{port}/hook", port=port)
    config = settings(api, **more)
    adapter = Telegram(config, inbox, timing)
    await adapter.start()
    run = asyncio.create_task(adapter.run())
    try:
        yield adapter
    finally:
        await adapter.stop()
        await asyncio.wait_for(run, 5)
        await adapter.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something that has to come true."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)
    assert condition()


def outgoing(chat: Chat, text: str, identity: str = "1", **more: Any) -> Outgoing:
    return Outgoing(identity, ME, chat, text, **more)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    caplog.set_level("DEBUG")
    yield lambda: caplog.text
