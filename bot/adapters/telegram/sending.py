"""What the bot says: messages, edits and drafts of them, typing.

Texts go out as plain text, so that nothing a model writes is ever read as markup, and
without previews, so that no address it makes up is fetched. A call that may have had its
effect is never repeated here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aiogram.enums import ChatAction
from aiogram.methods import GetChatMember, SendChatAction
from aiogram.types import User

from bot.adapters.telegram.calls import draft_call, edit_call, readdressed, send_call, topic
from bot.adapters.telegram.client import (
    CallError,
    Client,
    LaterError,
    MovedError,
    NoConnectionError,
    RefusedError,
)
from bot.event import Chat, Failed, Outcome, Outgoing, Sent, Unknown

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 4000
"""Code units of a text; 96 of Telegram's 4096 are left for the name of who is mentioned."""
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, in seconds.

    Attributes:
        draft: between two drafts in a private chat.
        edit: between two edits of a message, of which a group bears twenty a minute.
        reconnect: after which a message may be tried that found no connection.
    """

    draft: float = 1.0
    edit: float = 3.0
    reconnect: float = 5.0


class Sending:
    """Says what the bot wants said.

    Args:
        client: calls the server.
        move_chat: is told the old id of a group and its new one.
        pace: how often and how long.
    """

    def __init__(
        self, client: Client, move_chat: Callable[[str, str], Awaitable[None]], pace: Pace
    ) -> None:
        self._client = client
        self._move_chat = move_chat
        self._pace = pace

    async def send(self, message: Outgoing) -> Outcome:
        """See :meth:`bot.adapter.Adapter.send`."""
        try:
            return await self._send_anew(message)
        except CallError as error:
            return self._failure(error)

    async def edit(self, message: Outgoing) -> Outcome:
        """See :meth:`bot.adapter.Adapter.edit`."""
        number = message.edits or ""
        try:
            await self._client.call(edit_call(message, int(number), await self._mentioned(message)))
        except CallError as error:
            if isinstance(error, RefusedError) and "message is not modified" in str(error):
                return Sent(number)
            return self._failure(error)
        return Sent(number)

    async def draft(self, message: Outgoing) -> Outcome:
        """See :meth:`bot.adapter.Adapter.draft`."""
        try:
            await self._client.call(draft_call(message))
        except CallError as error:
            log.debug("a draft in %s is not shown: %s", message.chat.id, error)
            return self._failure(error)
        return Sent("")

    async def show_typing(self, chat: Chat) -> None:
        """See :meth:`bot.adapter.Adapter.show_typing`."""
        action = SendChatAction(
            chat_id=int(chat.id), message_thread_id=topic(chat), action=ChatAction.TYPING
        )
        try:
            await self._client.call(action)
        except CallError as error:
            log.debug("typing is not shown in %s: %s", chat.id, error)

    # ------------------------------------------------------------------------------------------

    async def _send_anew(self, message: Outgoing) -> Sent:
        try:
            return await self._send_once(message)
        except MovedError as moved:
            await self._move_chat(message.chat.id, moved.chat)
            sent = await self._send_once(readdressed(message, moved.chat))
            return replace(sent, chat=moved.chat)

    async def _send_once(self, message: Outgoing) -> Sent:
        sent = await self._client.call(send_call(message, await self._mentioned(message)))
        return Sent(str(sent.message_id))

    async def _mentioned(self, message: Outgoing) -> User | None:
        """Return whom to mention, by a name that fits; a mention needs one to be seen."""
        if message.mention is None:
            return None
        asked = GetChatMember(chat_id=int(message.chat.id), user_id=int(message.mention))
        try:
            user = (await self._client.call(asked)).user
        except CallError as error:
            log.info("%s cannot be mentioned in %s: %s", message.mention, message.chat.id, error)
            return None
        return User(id=user.id, is_bot=False, first_name=user.first_name[:_LONGEST_NAME])

    def _failure(self, error: CallError) -> Outcome:
        match error:
            case LaterError():
                return Failed(str(error), error.seconds)
            case NoConnectionError():
                return Failed(str(error), self._pace.reconnect)
            case RefusedError():
                return Failed(str(error))
            case _:
                return Unknown(str(error))
