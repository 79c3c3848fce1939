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
from bot.errors import StoreError
from bot.event import Account, Chat, DedupeKey, Event, Outgoing
from tests.fakes.bot_api import TOKEN, BotApi

TIMING = Timing(
    poll=20,
    answer=1,
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


class Inbox:
    """The bot's side of the contract, in memory.

    Attributes:
        events: what was committed, each message once.
        given: how often an event was handed in, duplicates included.
        full: so many commits fail from now on.
        open: committing waits while this is clear.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.moves: list[tuple[str, str]] = []
        self.given = self.full = 0
        self.open = asyncio.Event()
        self.open.set()
        self._known: set[DedupeKey] = set()

    async def receive(self, event: Event) -> bool:
        self.given += 1
        await self.open.wait()
        if self.full:
            self.full -= 1
            raise StoreError("the disk is full")
        is_new = event.dedupe_key not in self._known
        self._known.add(event.dedupe_key)
        if is_new:
            self.events.append(event)
        return is_new

    async def move_chat(self, account: Account, old: str, new: str) -> None:
        assert account == ME
        self.moves.append((old, new))

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events]


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
