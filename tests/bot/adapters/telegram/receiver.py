"""A process that receives with the real adapter into the real store, to be killed by a test.

    python -m tests.bot.adapters.telegram.receiver ADDRESS DATABASE before|after|never [PORT]

It stops, and says so, before or after its first commit; with a port it uses a webhook.
"""

import asyncio
import sys
from pathlib import Path

from bot.adapters.telegram.adapter import Telegram
from bot.adapters.telegram.config import TelegramConfig, WebhookConfig
from bot.event import Account, Event, SessionKey
from bot.store import Store


class Stalling:
    """Commits like the bot, but stops at one moment for good."""

    def __init__(self, store: Store, stall: str) -> None:
        self._store = store
        self._stall = stall

    async def receive(self, event: Event) -> bool:
        await self._reach("before")
        accepted = await self._store.accept(event, SessionKey.of(event))
        await self._reach("after")
        return accepted is not None

    async def move_chat(self, account: Account, old: str, new: str) -> None:
        await self._store.move_chat(account, old, new)

    async def _reach(self, moment: str) -> None:
        if moment == self._stall:
            print(moment, flush=True)  # noqa: T201
            await asyncio.Event().wait()


async def receive(address: str, database: str, stall: str, port: str = "") -> None:
    webhook = WebhookConfig(url=f"http://127.0.0.1:{port}/hook", port=int(port)) if port else None
    config = TelegramConfig(token_env="TELEGRAM_TOKEN", api_url=address, webhook=webhook)
    adapter = Telegram(config, Stalling(Store(Path(database)), stall))
    await adapter.start()
    await adapter.run()


if __name__ == "__main__":
    asyncio.run(receive(*sys.argv[1:]))
