"""What crosses a border of the bot: events in, messages out, and the key of a session.

Adapters make events of whatever a platform sends and messages of whatever the bot says, so
these few frozen classes are all that the two sides know of each other. They hold plain text
only: what a platform escapes, its adapter escapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import unquote

ChatKind: TypeAlias = Literal["private", "group"]
Role: TypeAlias = Literal["owner", "admin", "member"]


@dataclass(frozen=True, slots=True)
class Account:
    """The bot's own account on a platform.

    Attributes:
        platform: ``onebot_v11``, ``telegram``, ``console``; as in ``ADAPTERS``.
        self_id: the account's id there.
    """

    platform: str
    self_id: str

    def __str__(self) -> str:
        return f"{self.platform}:{self.self_id}"


@dataclass(frozen=True, slots=True)
class Chat:
    """Where something is said.

    Attributes:
        id: unique among the private *and* group chats of a platform. Where a platform
            counts them apart (OneBot), the adapter writes ``private-7`` and ``group-7``.
        kind: whether others read along.
        thread: a topic within the chat, if it is divided.
    """

    id: str
    kind: ChatKind
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who says it.

    Attributes:
        id: the person's id on the platform; never a name, which anyone can take.
        name: what the chat calls them; to be shown, never to decide by.
        role: their role in this chat as the platform tells it; ``member`` if it does not.
    """

    id: str
    name: str = ""
    role: Role = "member"


class DedupeKey(NamedTuple):
    """What makes a message the same one, however often it is delivered."""

    platform: str
    self_id: str
    chat: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Event:
    """A message that somebody sent to a chat the bot is in.

    An adapter hands in neither the bot's own messages nor a command for another bot.

    Attributes:
        account: the bot's account that received it.
        chat: where.
        sender: who.
        message_id: unique within the chat; delivered twice, it is the same.
        text: plain text: entities unescaped, the bot's own mention and a command's
            ``@bot`` taken out, without white space around it; empty for a mere picture.
        time: Unix seconds, by the platform's clock.
        mentions_bot: the bot is mentioned by the platform's own means; the names that a
            persona goes by are looked for later.
        replies_to_bot: it replies to one of the bot's messages.
        reply_to: the ``message_id`` that it replies to.
    """

    account: Account
    chat: Chat
    sender: Sender
    message_id: str
    text: str
    time: float
    mentions_bot: bool = False
    replies_to_bot: bool = False
    reply_to: str | None = None

    @property
    def dedupe_key(self) -> DedupeKey:
        """The key of the inbox."""
        account = self.account
        return DedupeKey(account.platform, account.self_id, self.chat.id, self.message_id)

    @property
    def user(self) -> str:
        """The sender as settings name people: ``platform:id``."""
        return f"{self.account.platform}:{self.sender.id}"

    @property
    def place(self) -> str:
        """The chat as settings name chats: ``platform:id``."""
        return f"{self.account.platform}:{self.chat.id}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the bot wants said; the core adds where, an adapter makes it safe to send.

    Attributes:
        text: plain text of any length.
        quote: as a reply to the message that is answered, where the platform can.
        mention: mention whom it answers, where the platform can.
    """

    text: str
    quote: bool = False
    mention: bool = False


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message on its way out; not longer than the adapter takes.

    Attributes:
        id: unique for good; the drafts of a reply share one.
        account: the bot's account that sends it.
        chat: where to.
        text: plain text. Whatever in it looks like markup, a command, a CQ code or a mention
            is text to be read.
        reply_to: the ``message_id`` to reply to.
        mention: the id of the user to mention before the text.
        edits: the ``message_id`` of the bot's own message whose text it takes the place of.
    """

    id: str
    account: Account
    chat: Chat
    text: str
    reply_to: str | None = None
    mention: str | None = None
    edits: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """It was delivered.

    Attributes:
        message_id: as the platform calls it; empty if it does not say.
        chat: the id of the chat it is in, where that is another one than was asked for.
    """

    message_id: str
    chat: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been delivered or not, so it is never sent again.

    Attributes:
        reason: for the log; without secrets.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It was surely not delivered.

    Attributes:
        reason: for the log; without secrets.
        retry_after: seconds until it may be tried again; None if that would not help.
    """

    reason: str
    retry_after: float | None = None


Outcome: TypeAlias = Sent | Unknown | Failed


def successor(message: Outgoing, outcome: Outcome) -> Outgoing | None:
    """Return the message that edits one with this outcome; None if it cannot be edited."""
    if not isinstance(outcome, Sent) or not outcome.message_id:
        return None
    chat = replace(message.chat, id=outcome.chat) if outcome.chat else message.chat
    return replace(message, chat=chat, edits=outcome.message_id)


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Who shares a history: ``platform:bot:chat[:thread][:user]``.

    Attributes:
        thread: the topic, where a chat has them.
        user: the one user, where each has a history of their own in the chat.
    """

    platform: str
    self_id: str
    chat: str
    thread: str | None = None
    user: str | None = None

    @classmethod
    def of(cls, event: Event, *, per_user: bool = False) -> SessionKey:
        """Return the key of the session that an event belongs to."""
        account, chat = event.account, event.chat
        user = event.sender.id if per_user else None
        return cls(account.platform, account.self_id, chat.id, chat.thread, user)

    @classmethod
    def parse(cls, text: str) -> SessionKey:
        """Return the key that ``str`` wrote.

        Raises:
            ValueError: it is none.
        """
        platform, self_id, chat, *rest = (unquote(part) for part in text.split(":"))
        marked = {part[:1]: part[1:] for part in rest}
        if marked.keys() - {"t", "u"}:
            raise ValueError(text)
        return cls(platform, self_id, chat, marked.get("t"), marked.get("u"))

    @property
    def whole_chat(self) -> SessionKey:
        """The chat without its division into threads and users."""
        return SessionKey(self.platform, self.self_id, self.chat)

    def __str__(self) -> str:
        """Write it; ``t`` and ``u`` tell a thread from a user, where both are numbers."""
        return _written(self)


@lru_cache(256)  # of one session it is asked several times a message
def _written(key: SessionKey) -> str:
    parts = [key.platform, key.self_id, key.chat]
    parts += [f"t{key.thread}"] if key.thread is not None else []
    parts += [f"u{key.user}"] if key.user is not None else []
    # By hand, since urllib's quote takes ten times as long.
    return ":".join(part.replace("%", "%25").replace(":", "%3A") for part in parts)
