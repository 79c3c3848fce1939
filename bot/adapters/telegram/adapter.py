"""Telegram as an :class:`bot.adapter.Adapter`: one bot of BotFather's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiogram.methods import GetMe
from aiogram.types import User
from aiogram.utils.backoff import BackoffConfig
from aiogram.utils.token import TokenValidationError, validate_token

from bot.adapter import Capabilities, Inlet, Link
from bot.adapters.telegram.client import BadTokenError, CallError, Client
from bot.adapters.telegram.config import TelegramConfig
from bot.adapters.telegram.incoming import PLATFORM, Me, Move, read_update
from bot.adapters.telegram.line import Line, unless
from bot.adapters.telegram.polling import Polling
from bot.adapters.telegram.roles import Roles
from bot.adapters.telegram.sending import LONGEST_MESSAGE, Pace, Sending
from bot.adapters.telegram.webhook import Webhook
from bot.errors import AdapterError, StoreError
from bot.event import Account, Chat, Event, Outcome, Outgoing
from bot.secrets import read_secret
from bot.text import utf16_length
from trainer.language import say

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of everything that waits.

    Attributes:
        poll: that the server waits for an update.
        answer: until an answer is given up, beyond that.
        role: that an event waits for its sender's role at most.
        watch: between two looks at a webhook.
        backoff: after failures to receive.
        pace: of what is sent.
    """

    poll: int = 30
    answer: int = 30
    role: float = 1.0
    watch: float = 60.0
    backoff: BackoffConfig = field(
        default_factory=lambda: BackoffConfig(min_delay=1, max_delay=30, factor=2, jitter=0.1)
    )
    pace: Pace = field(default_factory=Pace)


class Telegram:
    """The adapter; ``start`` makes its parts, because they need the token.

    Args:
        config: its settings.
        inlet: where events go.
        timing: how long to wait for everything.
    """

    platform = PLATFORM

    def __init__(self, config: TelegramConfig, inlet: Inlet, timing: Timing | None = None) -> None:
        self._config = config
        self._inlet = inlet
        self._timing = timing or Timing()
        self.capabilities = Capabilities(
            LONGEST_MESSAGE,
            utf16_length,
            can_type=True,
            draft_every=self._timing.pace.draft,
            edit_every=self._timing.pace.edit,
        )
        self._line = Line(PLATFORM, self._timing.backoff)
        self._stopped = asyncio.Event()
        self._parts: _Parts | None = None
        self._me: Me | None = None

    @property
    def accounts(self) -> Sequence[Account]:
        return (self._parts.account,) if self._parts else ()

    @property
    def links(self) -> Sequence[Link]:
        return (self._line.link,)

    async def start(self) -> None:
        self._parts = self._assembled(_token(self._config))
        if isinstance(self._parts.source, Webhook):
            await self._parts.source.open()
        try:
            await self._introduce(self._parts.client)
        except BadTokenError as error:
            raise _wrong_token(self._config, str(error)) from None
        except CallError as error:  # an outage: run() goes on trying
            self._line.fails(str(error))

    async def run(self) -> None:
        parts = self._started
        while self._me is None and not self._stopped.is_set():
            try:
                await self._introduce(parts.client)
            except CallError as error:
                await unless(self._stopped, asyncio.sleep(self._line.fails(str(error))))
        await parts.source.run(self._stopped)

    async def stop(self) -> None:
        self._stopped.set()

    async def close(self) -> None:
        self._stopped.set()
        if self._parts is None:
            return
        if isinstance(self._parts.source, Webhook):
            await self._parts.source.close()
        await self._parts.roles.close()
        await self._parts.client.close()

    async def send(self, message: Outgoing) -> Outcome:
        return await self._started.sending.send(message)

    async def edit(self, message: Outgoing) -> Outcome:
        return await self._started.sending.edit(message)

    async def draft(self, message: Outgoing) -> Outcome:
        return await self._started.sending.draft(message)

    async def show_typing(self, account: Account, chat: Chat) -> None:
        await self._started.sending.show_typing(chat)

    @property
    def _started(self) -> _Parts:
        if self._parts is None:
            raise RuntimeError("Telegram.start() comes first")
        return self._parts

    def _assembled(self, token: str) -> _Parts:
        config, timing = self._config, self._timing
        client = Client(token, config.api_url, timing.answer, config.proxy)
        sending = Sending(client, self._move_chat, timing.pace)
        source: Polling | Webhook
        if config.webhook:
            source = Webhook(config.webhook, client, self._line, self._take, timing.watch)
        else:
            source = Polling(client, self._line, self._take, timing.poll)
        return _Parts(client, sending, source, Roles(client, timing.role))

    async def _introduce(self, client: Client) -> None:
        """Learn who the bot is: without its name no mention is known."""
        user = await client.call(GetMe())
        self._me = Me(user.id, user.username or "")
        self._line.name = f"Telegram @{user.username}"
        if not user.can_read_all_group_messages:
            log.warning(_privacy_mode(user))

    async def _take(self, update: dict[str, Any]) -> None:
        """Commit an update; raises StoreError if the bot could not."""
        if self._me is None:  # a webhook is served before the first getMe has come through
            raise StoreError(say(zh="还不知道自己是谁", en="the bot's own name is not known yet"))
        try:
            meant = read_update(update, self._me)
        except ValueError:
            number = update.get("update_id")
            log.warning(say(zh=f"看不懂更新 {number}，跳过", en=f"skipping odd update {number}"))
            return
        if isinstance(meant, Event):
            await self._inlet.receive(await self._started.roles.complete(meant))
        elif isinstance(meant, Move):
            await self._inlet.move_chat(self._me.account, meant.old, meant.new)

    async def _move_chat(self, old: str, new: str) -> None:
        """Re-key a group's sessions; if that fails now, the update about it does it later."""
        try:
            await self._inlet.move_chat(self._started.account, old, new)
        except StoreError as error:
            log.warning(say(zh=f"群 {old} 没有搬完：{error}", en=f"{old} is not moved: {error}"))


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a started adapter is made of."""

    client: Client
    sending: Sending
    source: Polling | Webhook
    roles: Roles

    @property
    def account(self) -> Account:
        return Account(PLATFORM, str(self.client.id))


def _token(config: TelegramConfig) -> str:
    token = read_secret("token", config.token_env, config.token_file) or ""
    try:
        validate_token(token)
    except TokenValidationError:
        raise _wrong_token(config, say(zh="格式不对", en="it has another form")) from None
    return token


def _wrong_token(config: TelegramConfig, reason: str) -> AdapterError:
    place = config.token_file or config.token_env
    return AdapterError(
        say(
            zh=f"Telegram 不认 {place} 里的 token：{reason}",
            en=f"Telegram refuses the token in {place}: {reason}",
        ),
        path=config.token_file,
        fix=say(
            zh="从 @BotFather 的 /mybots → API Token 重新复制一遍，像 123456789:AA… 那样",
            en="copy it again from @BotFather, /mybots → API Token; it looks like 123456789:AA…",
        ),
        code="telegram-token",
    )


def _privacy_mode(user: User) -> str:
    return say(
        zh=f"@{user.username} 开着隐私模式，在群里只收得到命令和对它的回复，@ 它和叫它名字都收不到"
        " → 对 @BotFather 发 /setprivacy，选 Disable，再把它移出群、重新拉进来",
        en=f"@{user.username} is in privacy mode: in groups it gets commands and replies only, "
        "neither mentions nor its name → send /setprivacy to @BotFather, choose Disable, then "
        "remove it from its groups and add it again",
    )
