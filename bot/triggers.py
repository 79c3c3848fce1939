"""Which messages are meant for the bot."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from bot.config import Chats, Triggers
from bot.event import Event
from trainer.persona import Persona
from trainer.wording import plain

_EDGE = r"[\s,，.。!！?？~～:：、…]*"


def talks_in(chats: Chats, event: Event) -> bool:
    """Tell whether the bot talks in the event's chat."""
    return is_welcome(chats, event.place)


def is_welcome(chats: Chats, place: str) -> bool:
    """Tell whether the bot talks in a place (:attr:`bot.event.Event.place`)."""

    def among(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(place, pattern) for pattern in patterns)

    return among(chats.allow) and not among(chats.deny)


def is_meant(
    triggers: Triggers, event: Event, persona: Persona, is_command: Callable[[str], bool]
) -> bool:
    """Tell whether an event is meant for the bot.

    Args:
        triggers: what counts.
        event: what was said.
        persona: who listens.
        is_command: whether a text is a command that there is.
    """
    if not event.text:  # nothing but its name, or what it cannot read
        return triggers.mention and event.mentions_bot
    if event.chat.kind == "private" or is_command(event.text):
        return True
    return (
        (triggers.mention and event.mentions_bot)
        or (triggers.reply and event.replies_to_bot)
        or (triggers.nickname and is_called(event.text, (persona.name, *persona.aliases)))
        or _draws_lot(event, triggers.random)
    )


def is_called(text: str, names: Iterable[str]) -> bool:
    """Tell whether ``text`` begins or ends with one of ``names``, whatever the case or width.

    Latin names must stand as words, since ``dory`` is no part of ``history``.
    """
    text = plain(text).casefold()
    for name in filter(None, (plain(name).casefold() for name in names)):
        word = re.escape(name)
        after = r"(?!\w)" if name[-1].isascii() else ""
        before = r"(?<!\w)" if name[0].isascii() else ""
        if re.match(rf"{_EDGE}@?{word}{after}", text) or re.search(
            rf"{before}{word}{_EDGE}\Z", text
        ):
            return True
    return False


def _draws_lot(event: Event, share: float) -> bool:
    """Draw by the message itself, so that the same one delivered twice draws the same."""
    lot = zlib.crc32("\0".join(event.dedupe_key).encode("utf-8", "surrogatepass"))
    return lot / 2**32 < share
