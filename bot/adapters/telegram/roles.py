"""Who is an administrator of a group: a message does not say, so the server is asked.

One call a group every ten minutes. What is known meanwhile counts, and nobody waits long
for an answer: an administrator is taken for a member before the bot is stalled.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from aiogram.methods import TelegramMethod

from bot.adapters.telegram.client import CallError, Client
from bot.event import Event, Role

log = logging.getLogger(__name__)

FRESH, FAILED = 600.0, 60.0
"""Seconds until a group is asked for again, after an answer and after a failure."""

_ROLES: dict[str, Role] = {"creator": "owner", "administrator": "admin"}


class GetRawAdministrators(TelegramMethod[list[dict[str, Any]]]):
    """``getChatAdministrators`` as it came.

    aiogram's own wants every right by name, and each year's server has others.
    """

    __returning__: ClassVar[Any] = list[dict[str, Any]]
    __api_method__: ClassVar[str] = "getChatAdministrators"

    chat_id: int


@dataclass(slots=True)
class _Group:
    roles: dict[str, Role] = field(default_factory=dict)
    due: float = 0.0
    asking: asyncio.Task[None] | None = None


class Roles:
    """Knows the roles of people in groups.

    Args:
        client: calls the server.
        patience: seconds that an event waits for an answer at most.
    """

    def __init__(self, client: Client, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._groups: dict[str, _Group] = {}

    async def complete(self, event: Event) -> Event:
        """Return the event with its sender's role in the group."""
        if event.chat.kind == "private" or event.sender.role != "member":
            return event
        now = asyncio.get_running_loop().time()
        group = self._groups.get(event.chat.id) or self._add(event.chat.id, now)
        if group.due <= now:
            group.due = now + FAILED
            group.asking = asyncio.create_task(self._ask(event.chat.id, group))
            await asyncio.wait({group.asking}, timeout=self._patience)
        role = group.roles.get(event.sender.id, "member")
        return replace(event, sender=replace(event.sender, role=role))

    async def close(self) -> None:
        """Give up the questions that are under way."""
        asking = [group.asking for group in self._groups.values() if group.asking]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _add(self, chat: str, now: float) -> _Group:
        """Begin to know a group; those that have gone quiet are forgotten."""
        group = _Group()
        lately = {key: it for key, it in self._groups.items() if it.due > now}
        self._groups = {**lately, chat: group}
        return group

    async def _ask(self, chat: str, group: _Group) -> None:
        try:
            members = await self._client.call(GetRawAdministrators(chat_id=int(chat)))
        except CallError as error:
            log.info("the administrators of %s are not known: %s", chat, error)
            return
        group.roles = {_user(one): _role(one) for one in members}
        group.due = asyncio.get_running_loop().time() + FRESH


def _role(member: dict[str, Any]) -> Role:
    return _ROLES.get(str(member.get("status")), "member")


def _user(member: dict[str, Any]) -> str:
    user = member.get("user")
    return str(user.get("id")) if isinstance(user, dict) else ""
