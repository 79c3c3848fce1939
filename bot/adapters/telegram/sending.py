"""What the bot says: messages, replies that grow while they are thought up, typing.

Texts go out as plain text, so that nothing a model writes is ever read as markup, and
without previews, so that no address it makes up is fetched. A call that may have had its
effect is never repeated, except an edit, which may be made twice.

A reply grows as a draft in a private chat, and in a group as a message that is edited:
Telegram asks for no more than twenty of them a minute there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from aiogram.enums import ChatAction
from aiogram.methods import EditMessageText, GetChatMember, SendChatAction
from aiogram.types import User

from bot.adapters.telegram.calls import draft_call, edit_call, readdressed, send_call, topic
from bot.adapters.telegram.client import (
    CallError,
    Client,
    LaterError,
    MovedError,
    NoConnectionError,
    RefusedError,
    UnclearError,
)
from bot.event import Chat, Failed, Outcome, Outgoing, Sent, Unknown

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 4000
"""Code units of a text; 96 of Telegram's 4096 are left for the name of who is mentioned."""
_LONGEST_NAME = 40
_EDITS = 3
_FORGOTTEN_AFTER = 600.0
"""Seconds after which a draft that nobody ended (its reply was given up) is let go."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, in seconds.

    Attributes:
        draft: between two drafts in a private chat.
        edit: between two edits in a group, and before the first message.
        reconnect: after which a message may be tried that found no connection.
    """

    draft: float = 1.0
    edit: float = 3.0
    reconnect: float = 5.0


@dataclass(slots=True)
class _Draft:
    """A reply that grows.

    Attributes:
        due: when it may be shown again, by the loop's clock.
        showing: the call that shows it, under way or done.
        text: what it shows.
        message_id: the group's message that shows it.
        mentioned: whom that message mentions.
        is_over: it is not shown any more.
    """

    due: float
    showing: asyncio.Future[None] | None = None
    text: str = ""
    message_id: int | None = None
    mentioned: User | None = None
    is_over: bool = False


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
        self._drafts: dict[str, _Draft] = {}

    async def send(self, message: Outgoing) -> Outcome:
        """See :meth:`bot.adapter.Adapter.send`."""
        draft = self._drafts.get(message.id)
        try:
            outcome = await self._end_draft(draft, message) if draft else None
            outcome = outcome or await self._send_anew(message)
        except CallError as error:
            outcome = self._failure(error)
        if not isinstance(outcome, Failed):
            self._drafts.pop(message.id, None)
        return outcome

    async def draft(self, message: Outgoing) -> None:
        """See :meth:`bot.adapter.Adapter.draft`; returns at once, lest the reply waits for it."""
        draft = self._drafts.get(message.id) or self._begin(message)
        is_news = message.text.strip() and message.text != draft.text
        is_busy = draft.showing is not None and not draft.showing.done()
        if is_news and not (is_busy or draft.is_over or _now() < draft.due):
            draft.text = message.text
            draft.showing = asyncio.ensure_future(self._show(draft, message))

    async def show_typing(self, chat: Chat) -> None:
        """See :meth:`bot.adapter.Adapter.show_typing`."""
        action = SendChatAction(
            chat_id=int(chat.id), message_thread_id=topic(chat), action=ChatAction.TYPING
        )
        try:
            await self._client.call(action)
        except CallError as error:
            log.debug("typing is not shown in %s: %s", chat.id, error)

    async def close(self) -> None:
        """Give up the drafts that are under way."""
        under_way = [draft.showing for draft in self._drafts.values() if draft.showing]
        for showing in under_way:
            showing.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    # --- messages -----------------------------------------------------------------------------

    async def _send_anew(self, message: Outgoing) -> Outcome:
        try:
            return await self._send_once(message)
        except MovedError as moved:
            await self._move_chat(message.chat.id, moved.chat)
            return await self._send_once(readdressed(message, moved.chat))

    async def _send_once(self, message: Outgoing) -> Outcome:
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

    # --- drafts -------------------------------------------------------------------------------

    def _begin(self, message: Outgoing) -> _Draft:
        """Begin a draft; in a group a short reply is said whole, without having been edited."""
        now = _now()
        lately = {key: it for key, it in self._drafts.items() if it.due > now - _FORGOTTEN_AFTER}
        draft = _Draft(due=now + (self._pace.edit if message.chat.kind == "group" else 0))
        self._drafts = {**lately, message.id: draft}
        return draft

    async def _show(self, draft: _Draft, message: Outgoing) -> None:
        is_group = message.chat.kind == "group"
        wait = self._pace.edit if is_group else self._pace.draft
        try:
            if is_group:
                await self._show_message(draft, message)
            else:
                await self._client.call(draft_call(message))
        except CallError as error:
            log.debug("a draft in %s is not shown: %s", message.chat.id, error)
            wait = error.seconds if isinstance(error, LaterError) else wait
            # A first message that perhaps stands there cannot be edited; no second one, then.
            is_first = is_group and draft.message_id is None
            draft.is_over = is_first and isinstance(error, UnclearError)
        draft.due = _now() + wait

    async def _show_message(self, draft: _Draft, message: Outgoing) -> None:
        if draft.message_id is not None:
            await self._client.call(edit_call(message, draft.message_id, draft.mentioned))
            return
        draft.mentioned = await self._mentioned(message)
        shown = await self._client.call(send_call(message, draft.mentioned))
        draft.message_id = shown.message_id

    async def _end_draft(self, draft: _Draft, message: Outgoing) -> Outcome | None:
        """Let the draft become the message; None if the message has to be sent.

        Raises:
            CallError: the last edit failed; it may be made again.
        """
        draft.is_over = True
        if draft.showing is not None:
            await draft.showing  # it must not come after the message
        if draft.message_id is None:
            return None
        try:
            await self._edit(edit_call(message, draft.message_id, draft.mentioned))
        except (LaterError, NoConnectionError, UnclearError):
            raise
        except RefusedError as error:
            if "message is not modified" not in str(error):
                draft.message_id = None  # it was deleted, or its group has moved
                return None
        return Sent(str(draft.message_id))

    async def _edit(self, edit: EditMessageText) -> None:
        """Make an edit, and again while nobody knows whether it was made."""
        for _ in range(_EDITS - 1):
            with suppress(UnclearError):
                await self._client.call(edit)
                return
        await self._client.call(edit)


def _now() -> float:
    return asyncio.get_running_loop().time()
