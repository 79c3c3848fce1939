"""Making the bot's event of a message on QQ."""

from __future__ import annotations

import time
from dataclasses import replace

from bot.adapters.onebot_v11.cq import Segment
from bot.adapters.onebot_v11.wire import MessageFrame
from bot.event import Account, Chat, Event, Role, Sender
from trainer.language import say

PLATFORM = "onebot_v11"

_ROLES: dict[str, Role] = {"owner": "owner", "admin": "admin"}


def read_message(frame: MessageFrame) -> Event | None:
    """Return the event; None for what nobody else said: our own words, a group's notice.

    ``replies_to_bot`` is left open: a reply names only the message, not whose it was.
    """
    if frame.user_id == frame.self_id or frame.sub_type == "notice":
        return None
    chat = _chat(frame)
    if chat is None:
        return None
    reply_to = next((s.data.get("id") for s in frame.message if s.type == "reply"), None)
    mentions = any(_mentioned(segment) == frame.self_id for segment in frame.message)
    text = "".join(_text(segment, frame.self_id) for segment in frame.message)
    return Event(
        account=Account(PLATFORM, frame.self_id),
        chat=chat,
        sender=_sender(frame),
        message_id=frame.message_id,
        text=text.strip(),
        time=frame.time or time.time(),
        mentions_bot=mentions,
        reply_to=reply_to or None,
    )


def replying(event: Event) -> Event:
    """Return the event as a reply to one of the bot's messages."""
    return replace(event, replies_to_bot=True)


def _chat(frame: MessageFrame) -> Chat | None:
    """Return the chat; None for a group message without its group.

    Who writes to the bot by way of a group, without being its friend, is only reached by way
    of that group, so the chat's id keeps it.
    """
    if frame.message_type == "group":
        return Chat(f"group-{frame.group_id}", "group") if frame.group_id else None
    group = frame.group_id or frame.sender.group_id
    if frame.sub_type == "group" and group:
        return Chat(f"temporary-{group}-{frame.user_id}", "private")
    return Chat(f"private-{frame.user_id}", "private")


def _sender(frame: MessageFrame) -> Sender:
    if frame.anonymous is not None:
        return Sender(f"anonymous-{frame.anonymous.id}", frame.anonymous.name)
    sender = frame.sender
    role = _ROLES.get(sender.role, "member") if frame.message_type == "group" else "member"
    return Sender(frame.user_id, sender.card.strip() or sender.nickname, role)


def _mentioned(segment: Segment) -> str:
    return segment.data.get("qq", "") if segment.type == "at" else ""


def _text(segment: Segment, self_id: str) -> str:
    """Return a segment as words; what is none (a picture, a face) is left out."""
    if segment.type == "text":
        return segment.data.get("text", "")
    who = _mentioned(segment)
    if not who or who == self_id:
        return ""
    everyone = say(zh="全体成员", en="everyone")
    name = everyone if who == "all" else segment.data.get("name", "").lstrip("@") or who
    return f"@{name} "
