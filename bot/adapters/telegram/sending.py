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
from dataclasses import dataclass, field
from typing import TypeVar

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
    UnclearError,
)
from bot.event import Chat, Failed, Outcome, Outgoing, Sent, Unknown

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

LONGEST_MESSAGE = 4000
"""Code units of a text; 96 of Telegram's 4096 are left for the name of who is mentioned."""
_LONGEST_NAME = 40
_EDITS = 3
_FORGOTTEN_AFTER = 600.0
"""Seconds after which a draft that nobody ended (its reply was given up) is let go."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long.

    Attributes:
        draft: seconds between two drafts in a private chat.
        edit: seconds between two edits in a group, and before the first message.
        patience: seconds to wait at most when told to come back later.
        reconnect: seconds after which a message may be tried that found no connection.
    """

    draft: float = 1.0
    edit: float = 3.0
    patience: float = 60.0
    reconnect: float = 5.0


@dataclass(slots=True)
class _Draft:
    """A reply that grows; ``message_id`` is the group's message that shows it."""

    due: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    text: str = ""
    message_id: int | None = None
    mentioned: User | None = None
    is_ended: bool = False


class Sending:
    """Says what the bot wants said.

    Args:
        client: calls the server.
        move_chat: is told the new id of a group, and the old one before it.
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
        outcome = await self._end_draft(draft, message) if draft else None
        outcome = outcome or await self._send_anew(message)
        if not isinstance(outcome, Failed):
            self._drafts.pop(message.id, None)
        return outcome

    async def draft(self, message: Outgoing) -> None:
        """See :meth:`bot.adapter.Adapter.draft`."""
        draft = self._drafts.get(message.id) or self._begin(message)
        if draft.lock.locked():  # the one before is still under way
            return
        async with draft.lock:
            is_news = message.text.strip() and message.text != draft.text
            if draft.is_ended or not is_news or _now() < draft.due:
                return
            try:
                await self._show(draft, message)
                draft.text = message.text
                draft.due = _now() + self._interval(message.chat)
            except CallError as error:
                self._put_off(draft, message, error)

    async def show_typing(self, chat: Chat) -> None:
        """See :meth:`bot.adapter.Adapter.show_typing`."""
        action = SendChatAction(
            chat_id=int(chat.id), message_thread_id=topic(chat), action=ChatAction.TYPING
        )
        try:
            await self._client.call(action)
        except CallError as error:
            _log.debug("typing is not shown in %s: %s", chat.id, error)

    # --- messages -----------------------------------------------------------------------------

    async def _send_anew(self, message: Outgoing) -> Outcome:
        try:
            try:
                return await self._send_once(message)
            except MovedError as moved:
                await self._move_chat(message.chat.id, moved.chat)
                return await self._send_once(readdressed(message, moved.chat))
        except CallError as error:
            return self._failure(error)

    async def _send_once(self, message: Outgoing) -> Outcome:
        mentioned = await self._mentioned(message)
        call = send_call(message, mentioned)
        sent = await self._patiently(lambda: self._client.call(call))
        return Sent(str(sent.message_id))

    async def _mentioned(self, message: Outgoing) -> User | None:
        """Return whom to mention, by a name that fits; a mention needs one to be seen."""
        if message.mention is None:
            return None
        asked = GetChatMember(chat_id=int(message.chat.id), user_id=int(message.mention))
        try:
            user = (await self._client.call(asked)).user
        except CallError as error:
            _log.info("%s cannot be mentioned in %s: %s", message.mention, message.chat.id, error)
            return None
        return User(id=user.id, is_bot=False, first_name=user.first_name[:_LONGEST_NAME])

    async def _patiently(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Call, and again when the server asks to come back later, as long as that is soon."""
        patience = self._pace.patience
        while True:
            try:
                return await call()
            except LaterError as later:
                patience -= later.seconds
                if patience < 0:
                    raise
                await asyncio.sleep(later.seconds)

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
        is_group = message.chat.kind == "group"
        draft = _Draft(due=now + (self._pace.edit if is_group else 0))
        self._drafts = {**lately, message.id: draft}
        return draft

    def _interval(self, chat: Chat) -> float:
        return self._pace.edit if chat.kind == "group" else self._pace.draft

    async def _show(self, draft: _Draft, message: Outgoing) -> None:
        if message.chat.kind == "private":
            await self._client.call(draft_call(message))
        elif draft.message_id is not None:
            await self._client.call(edit_call(message, draft.message_id, draft.mentioned))
        else:
            draft.mentioned = await self._mentioned(message)
            call = send_call(message, draft.mentioned)
            draft.message_id = (await self._client.call(call)).message_id

    def _put_off(self, draft: _Draft, message: Outgoing, error: CallError) -> None:
        _log.debug("a draft in %s is not shown: %s", message.chat.id, error)
        wait = error.seconds if isinstance(error, LaterError) else self._interval(message.chat)
        draft.due = _now() + wait
        is_first = message.chat.kind == "group" and draft.message_id is None
        if is_first and isinstance(error, UnclearError):
            # Perhaps it stands there, and cannot be edited; a second one would be too much.
            draft.is_ended = True

    async def _end_draft(self, draft: _Draft, message: Outgoing) -> Outcome | None:
        """Let the draft become the message; None if the message has to be sent."""
        async with draft.lock:  # a late draft must not follow the message
            draft.is_ended = True
        if draft.message_id is None:
            return None
        edit = edit_call(message, draft.message_id, draft.mentioned)
        error: CallError | None = None
        for _ in range(_EDITS):
            try:
                await self._patiently(lambda: self._client.call(edit))
                return Sent(str(draft.message_id))
            except CallError as failure:
                error = failure
            if not isinstance(error, UnclearError | NoConnectionError):
                break
        return self._end_of_edits(draft, error)

    def _end_of_edits(self, draft: _Draft, error: CallError | None) -> Outcome | None:
        """Tell what became of a message whose last edit failed."""
        if error is None or "message is not modified" in str(error):
            return Sent(str(draft.message_id))
        if isinstance(error, RefusedError) and not isinstance(error, LaterError):
            draft.message_id = None  # it is gone, or its group has moved
            return None
        return self._failure(error)


def _now() -> float:
    return asyncio.get_running_loop().time()
