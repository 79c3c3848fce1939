"""Making an action of a message of the bot's.

A message leaves as an array of segments, of three kinds only: whatever a model says is the
value of a ``text`` segment, where nothing is parsed. A mention is a number or nothing, so
that it can never be ``all``.
"""

from __future__ import annotations

import re
from typing import Any

from bot.adapters.onebot_v11.wire import clean
from bot.event import Chat, Outgoing

_CHAT = re.compile(r"(private|group)-([0-9]+)|temporary-([0-9]+)-([0-9]+)")
_USER = re.compile(r"[0-9]+")
_MESSAGE_ID = re.compile(r"-?[0-9]+")


def action_of(message: Outgoing) -> tuple[str, dict[str, Any]] | None:
    """Return the action and its parameters; None if the chat is none of QQ's."""
    target = _target(message.chat)
    if target is None:
        return None
    action, to = target
    return action, {**to, "message": _segments(message)}


def _target(chat: Chat) -> tuple[str, dict[str, int]] | None:
    found = _CHAT.fullmatch(chat.id)
    if found is None:
        return None
    if found[3]:
        return "send_private_msg", {"user_id": int(found[4]), "group_id": int(found[3])}
    if found[1] == "private":
        return "send_private_msg", {"user_id": int(found[2])}
    return "send_group_msg", {"group_id": int(found[2])}


def _segments(message: Outgoing) -> list[dict[str, Any]]:
    segments = []
    if message.reply_to is not None and _MESSAGE_ID.fullmatch(message.reply_to):
        segments.append(_segment("reply", id=message.reply_to))
    if message.mention is not None and _USER.fullmatch(message.mention):
        segments += [_segment("at", qq=message.mention), _segment("text", text=" ")]
    return [*segments, _segment("text", text=clean(message.text))]


def _segment(kind: str, **data: str) -> dict[str, Any]:
    return {"type": kind, "data": data}
