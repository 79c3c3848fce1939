"""Updates become events: who said what to whom, by Telegram's own marks and not by its looks.

Pure: no network and no state. Offsets and lengths of entities count UTF-16 code units, so
texts are cut in that encoding; a mark that does not fit its text counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiogram.enums import ContentType
from aiogram.types import Message, MessageEntity

from bot.event import Account, Chat, Event, Sender
from bot.text import well_formed

PLATFORM = "telegram"
GENERAL_TOPIC = 1
"""Its messages carry no topic, and none may be sent to it by this id."""

_SAID = frozenset(
    {
        *(ContentType.TEXT, ContentType.PHOTO, ContentType.STICKER, ContentType.ANIMATION),
        *(ContentType.VIDEO, ContentType.VIDEO_NOTE, ContentType.VOICE, ContentType.AUDIO),
        *(ContentType.DOCUMENT, ContentType.LOCATION, ContentType.VENUE, ContentType.CONTACT),
        *(ContentType.DICE, ContentType.POLL, ContentType.STORY, ContentType.PAID_MEDIA),
    }
)
"""What a person says; the rest is the chat's own: somebody joined, a topic was opened."""


@dataclass(frozen=True, slots=True)
class Me:
    """The bot as its platform knows it; ``username`` without the ``@``."""

    id: int
    username: str

    @property
    def account(self) -> Account:
        """Its account."""
        return Account(PLATFORM, str(self.id))


@dataclass(frozen=True, slots=True)
class Move:
    """A group became a supergroup: chat ``old`` is chat ``new`` from now on."""

    old: str
    new: str


def read_update(raw: dict[str, Any], me: Me) -> Event | Move | None:
    """Return what an update means for the bot; None if it is nothing to it.

    Raises:
        ValueError: it is no update.
    """
    if raw.get("message") is None:  # nothing else was asked for
        return None
    try:
        return _read_message(Message.model_validate(raw["message"]), me)
    except (RecursionError, OverflowError) as error:  # nested, or dated, beyond all measure
        raise ValueError(type(error).__name__) from None


def _read_message(message: Message, me: Me) -> Event | Move | None:
    here = str(message.chat.id)
    if message.migrate_to_chat_id:
        return Move(here, str(message.migrate_to_chat_id))
    if message.migrate_from_chat_id:
        return Move(str(message.migrate_from_chat_id), here)
    sender = _sender(message)
    if sender is None or message.content_type not in _SAID:
        return None
    words = _read_words(message, me)
    return _event(message, me, sender, words) if words else None


def _event(message: Message, me: Me, sender: Sender, words: _Words) -> Event:
    answered = _answered(message)
    return Event(
        account=me.account,
        chat=_chat(message),
        sender=sender,
        message_id=str(message.message_id),
        text=words.text,
        time=message.date.timestamp(),
        mentions_bot=words.mentions_bot,
        replies_to_bot=bool(answered and answered.from_user and answered.from_user.id == me.id),
        reply_to=str(answered.message_id) if answered else None,
    )


def _chat(message: Message) -> Chat:
    kind = message.chat.type
    return Chat(
        str(message.chat.id), "private" if kind == "private" else "group", thread=_topic(message)
    )


def _topic(message: Message) -> str | None:
    """Return the topic; a mere thread of replies has an id as well, but is none."""
    topic = message.message_thread_id if message.is_topic_message else None
    return str(topic) if topic and topic != GENERAL_TOPIC else None


def _sender(message: Message) -> Sender | None:
    """Return who speaks; other bots do not count, or two of them would never stop."""
    if (group := message.sender_chat) is not None:  # an anonymous admin, or a channel
        name = well_formed(group.title or "")
        if group.id == message.chat.id:
            return Sender(str(group.id), name, "admin")
        return Sender(str(group.id), name)
    user = message.from_user
    if user is None or user.is_bot:
        return None
    return Sender(str(user.id), well_formed(user.full_name))


def _answered(message: Message) -> Message | None:
    """Return the message that is replied to; what is said in a topic seems to reply to its root."""
    answered = message.reply_to_message
    if answered is None or answered.forum_topic_created:
        return None
    is_root = message.is_topic_message and answered.message_id == message.message_thread_id
    return None if is_root else answered


# --- words ------------------------------------------------------------------------------------


class _Words(NamedTuple):
    text: str
    mentions_bot: bool


class _Span(NamedTuple):
    """Code units ``start`` to ``end`` of a text, which name the bot."""

    start: int
    end: int


def _read_words(message: Message, me: Me) -> _Words | None:
    """Return the text without the bot's own mentions; None for a command to another bot."""
    text = message.text or message.caption or ""
    units = _units(text)
    marks = [mark for mark in _marks(message) if _fits(mark, units)]
    if any(_is_for_another(mark, _part(units, mark), me) for mark in marks):
        return None
    spans = [span for mark in marks for span in _naming(mark, _part(units, mark), me)]
    return _Words(_cut_out(units, spans).strip(), bool(spans))


def _units(text: str) -> bytes:
    """Return the code units; JSON can hold halves of characters, which nothing else takes."""
    return text.encode("utf-16-le", "surrogatepass")


def _marks(message: Message) -> Iterable[MessageEntity]:
    return (message.entities if message.text else message.caption_entities) or ()


def _fits(mark: MessageEntity, units: bytes) -> bool:
    return mark.offset >= 0 and mark.length > 0 and 2 * (mark.offset + mark.length) <= len(units)


def _part(units: bytes, mark: MessageEntity) -> str:
    start = 2 * mark.offset
    return units[start : start + 2 * mark.length].decode("utf-16-le", "replace")


def _is_for_another(mark: MessageEntity, part: str, me: Me) -> bool:
    """Tell whether the text is a command with another bot's name."""
    _, at, name = part.partition("@")
    return bool(mark.type == "bot_command" and mark.offset == 0 and at and not _is_me(name, me))


def _naming(mark: MessageEntity, part: str, me: Me) -> Iterator[_Span]:
    """Yield where a mark names the bot: all of a mention, the end of ``/command@bot``."""
    end = mark.offset + mark.length
    if mark.type == "text_mention" and mark.user and mark.user.id == me.id:
        yield _Span(mark.offset, end)
    command, at, name = part.partition("@")
    if at and _is_me(name, me) and mark.type in ("mention", "bot_command"):
        yield _Span(mark.offset + len(command), end)  # a command has no wide characters


def _is_me(name: str, me: Me) -> bool:
    return bool(me.username) and name.casefold() == me.username.casefold()


def _cut_out(units: bytes, spans: Iterable[_Span]) -> str:
    """Return the text without ``spans``; between words that were apart, one space stays."""
    kept, done = "", 0
    for start, end in sorted(spans):
        before = units[2 * done : 2 * start].decode("utf-16-le", "replace")
        kept, done = kept + before, max(done, end)
        if not kept or kept[-1].isspace():
            done = _after_space(units, done)
    return kept + units[2 * done :].decode("utf-16-le", "replace")


def _after_space(units: bytes, index: int) -> int:
    while units[2 * index : 2 * index + 2].decode("utf-16-le", "replace").isspace():
        index += 1
    return index
