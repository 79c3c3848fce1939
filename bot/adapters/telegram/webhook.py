"""A webhook: Telegram posts updates to us, and takes 2xx as a confirmation.

The address is public, so a post counts only with the secret that was given to Telegram.
The secret is drawn anew at each start: nobody has to keep it, and what Telegram still
sends with the old one is refused and sent again. One connection at a time keeps the
messages in order. An update that comes twice is told by the bot's inbox, which knows it
across restarts too.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from contextlib import suppress
from json import JSONDecodeError
from urllib.parse import urlsplit

from aiogram.methods import GetWebhookInfo, SetWebhook
from aiohttp import web

from bot.adapters.telegram.client import CallError, Client, RefusedError
from bot.adapters.telegram.config import WebhookConfig
from bot.adapters.telegram.line import Line, unless
from bot.adapters.telegram.polling import ALLOWED_UPDATES, Take
from bot.errors import AdapterError, StoreError
from bot.listening import listen
from trainer.language import say

log = logging.getLogger(__name__)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
LARGEST_UPDATE = 1024**2
"""Bytes; an update is some kilobytes, and anybody may post here."""


class Webhook:
    """Receives updates until it is stopped.

    Args:
        config: where it is reached and where it listens.
        client: calls the server.
        line: is told how the connection does.
        take: commits an update.
        watch: seconds between two looks at whether Telegram still delivers here.
    """

    def __init__(
        self, config: WebhookConfig, client: Client, line: Line, take: Take, watch: float
    ) -> None:
        self._config = config
        self._client = client
        self._line = line
        self._take = take
        self._watch = watch
        self._secret = secrets.token_urlsafe(32)
        self._runner: web.AppRunner | None = None
        self._was_probed = False

    async def open(self) -> None:
        """Listen.

        Raises:
            AdapterError: the port is taken, or the host is no address of this machine.
        """
        app = web.Application(client_max_size=LARGEST_UPDATE)
        app.router.add_post(urlsplit(self._config.url).path or "/", self._handle)
        config = self._config
        self._runner = await listen(
            app, config.host, config.port, lambda error: _cannot_listen(config, error)
        )

    async def run(self, stopped: asyncio.Event) -> None:
        """Have updates delivered until ``stopped``; they are kept by Telegram afterwards."""
        is_set = False
        while not stopped.is_set():
            try:
                if not (is_set and await self._is_kept()):
                    await self._set()
                is_set = True
                self._line.works()
                delay = self._watch
            except CallError as error:
                delay = self._line.fails(str(error))
            await unless(stopped, asyncio.sleep(delay))
        await self.close()

    async def close(self) -> None:
        """Listen no more; what is being committed is still answered."""
        if self._runner:
            await self._runner.cleanup()

    async def _set(self) -> None:
        """Have updates delivered here, one connection at a time."""
        call = SetWebhook(
            url=self._config.url,
            secret_token=self._secret,
            allowed_updates=ALLOWED_UPDATES,
            max_connections=1,
        )
        await self._client.call(call)

    async def _is_kept(self) -> bool:
        """Tell whether the webhook is still ours; somebody may have set another one.

        Raises:
            CallError: that is not known, or Telegram cannot deliver.
        """
        now = await self._client.call(GetWebhookInfo())
        if now.url == self._config.url and now.pending_update_count and now.last_error_message:
            raise RefusedError(now.last_error_message)
        return now.url == self._config.url

    async def _handle(self, request: web.Request) -> web.Response:
        given = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._secret.encode()):
            self._report_probe()
            return web.Response(status=403)
        update = None
        with suppress(JSONDecodeError, UnicodeDecodeError, RecursionError):
            update = await request.json()
        if not isinstance(update, dict):
            return web.Response(status=400)
        try:
            await self._take(update)
        except StoreError as error:
            log.warning(say(zh=f"更新没有存下：{error}", en=f"an update was not kept: {error}"))
            return web.Response(status=503)  # it is sent again
        return web.Response()

    def _report_probe(self) -> None:
        """Say it once: whoever tries addresses does so by the thousand."""
        if not self._was_probed:
            log.warning(
                say(
                    zh="有人不带正确的密钥往 webhook 发了请求，已拒绝；以后不再提示",
                    en="a post to the webhook without the right secret was refused; said once",
                )
            )
        self._was_probed = True


def _cannot_listen(config: WebhookConfig, error: OSError) -> AdapterError:
    place = f"{config.host}:{config.port}"
    return AdapterError(
        say(
            zh=f"Telegram 的 webhook 不能监听 {place}：{error.strerror}",
            en=f"Telegram's webhook cannot listen on {place}: {error.strerror}",
        ),
        fix=say(
            zh="在 renshe.yaml 里换 webhook 的 host 或 port",
            en="change the webhook's host or port in renshe.yaml",
        ),
        code="telegram-listen",
    )
