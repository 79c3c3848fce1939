"""Long polling: updates are fetched, committed by the bot, and only then confirmed.

An update is confirmed by the next call's offset, so one that was received but not
committed when the process was killed is delivered again. An offset is used until it has
confirmed once, and then dropped: after a quiet week Telegram goes on with any number,
and an offset kept since then could confirm updates that nobody has seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from aiogram.methods import DeleteWebhook, GetWebhookInfo, TelegramMethod

from bot.adapters.telegram.client import CallError, Client, ConflictError, LaterError, UnclearError
from bot.adapters.telegram.line import Line, unless
from bot.errors import StoreError
from trainer.language import say

log = logging.getLogger(__name__)

ALLOWED_UPDATES = ["message"]
"""Always given: left out, whatever was asked for last would still hold."""

Take = Callable[[dict[str, Any]], Awaitable[None]]
"""Commits an update; raises StoreError if it could not."""


class GetRawUpdates(TelegramMethod[list[Any]]):
    """``getUpdates``, but each update as it came.

    aiogram's own reads all of them or none: one that it does not understand would be fetched
    again and again, and with it all that come after.
    """

    __returning__: ClassVar[Any] = list[Any]
    __api_method__: ClassVar[str] = "getUpdates"

    offset: int | None
    timeout: int
    allowed_updates: list[str]


class Polling:
    """Fetches updates until it is stopped.

    Args:
        client: calls the server.
        line: is told how the connection does.
        take: commits an update.
        timeout: seconds that the server waits for an update.
    """

    def __init__(self, client: Client, line: Line, take: Take, timeout: int) -> None:
        self._client = client
        self._line = line
        self._take = take
        self._timeout = timeout
        self._offset: int | None = None

    async def run(self, stopped: asyncio.Event) -> None:
        """Poll until ``stopped``."""
        is_ready = False
        while not stopped.is_set():
            try:
                if not is_ready:
                    await self._end_webhook()
                    is_ready = True
                await self._poll(stopped)
            except (CallError, StoreError) as error:
                delay = self._line.fails(_advice(error))
                seconds = max(delay, error.seconds) if isinstance(error, LaterError) else delay
                await unless(stopped, asyncio.sleep(seconds))

    async def _end_webhook(self) -> None:
        """Take over from a webhook, which excludes polling; what it has not taken stays."""
        webhook = await self._client.call(GetWebhookInfo())
        if webhook.url:
            log.warning(
                say(
                    zh="这个机器人设过 webhook，配置里没有，现在取消它",
                    en="this bot has a webhook that its settings do not name; removing it",
                )
            )
            await self._client.call(DeleteWebhook(drop_pending_updates=False))

    async def _poll(self, stopped: asyncio.Event) -> None:
        # After a failure an answer is wanted at once, to know that it is over.
        timeout = self._timeout if self._line.link.up else 0
        asked = GetRawUpdates(offset=self._offset, timeout=timeout, allowed_updates=ALLOWED_UPDATES)
        updates = await unless(stopped, self._client.call(asked, wait=timeout))
        if updates is None:
            return
        self._offset = None
        for update in updates:
            if isinstance(update, dict) and isinstance(update.get("update_id"), int):
                await self._take(update)
                self._offset = update["update_id"] + 1
        if updates and self._offset is None:
            raise UnclearError(say(zh="收到的更新没有编号", en="the updates have no ids"))
        self._line.works()


def _advice(error: Exception) -> str:
    if not isinstance(error, ConflictError):
        return str(error)
    return say(
        zh=f"{error} → 同一个 token 只能有一个程序在收消息，关掉另一个",
        en=f"{error} → only one program may receive with a token, stop the other one",
    )
