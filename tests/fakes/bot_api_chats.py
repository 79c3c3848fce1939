"""The chats a fake Bot API server knows, and the messages in them.

A message is kept as the JSON that the server would send; replies, topics and upgrades of
groups refer to messages that are there, as they must on the real server.
"""

import time
from dataclasses import dataclass, field
from itertools import count

from tests.fakes.bot_api_text import ApiError, Json, bad_request

GENERAL_TOPIC = 1
_UPGRADED = "Bad Request: group chat was upgraded to a supergroup chat"


@dataclass
class Chat:
    """A chat.

    Attributes:
        kind: ``private``, ``group`` or ``supergroup``.
        topics: for a forum, the ids of its topics besides General; their roots are messages.
        forbidden: why the bot may not write here any more.
        upgraded_to: the supergroup that this group has become.
        admins: users that are ``creator`` or ``administrator``; their rights are left out.
    """

    id: int
    kind: str
    title: str = "a group"
    topics: set[int] | None = None
    forbidden: str = ""
    upgraded_to: int | None = None
    admins: dict[int, str] = field(default_factory=dict)
    messages: dict[int, Json] = field(default_factory=dict)

    @property
    def json(self) -> Json:
        named = {"first_name": "Ann"} if self.kind == "private" else {"title": self.title}
        forum = {"is_forum": True} if self.topics is not None else {}
        return {"id": self.id, "type": self.kind, **named, **forum}


class Chats:
    """All chats; ids of messages grow over all of them, which the real server does not promise."""

    def __init__(self) -> None:
        self._chats: dict[int, Chat] = {}
        self._ids = count(100)

    def private(self, user: int) -> Chat:
        """A chat with one user."""
        return self._add(Chat(user, "private"))

    def group(self, identity: int) -> Chat:
        """A group; a supergroup if its id is one of theirs."""
        kind = "supergroup" if identity < -1_000_000_000_000 else "group"
        return self._add(Chat(identity, kind))

    def forum(self, identity: int) -> Chat:
        """A supergroup with topics."""
        return self._add(Chat(identity, "supergroup", topics=set()))

    def topic(self, chat: Chat, author: Json) -> int:
        """Open a topic in a forum; returns its id, which is that of its root message."""
        assert chat.topics is not None
        root = self.put(chat, author, {"forum_topic_created": {"name": "a topic", "icon_color": 1}})
        root.update(message_thread_id=root["message_id"], is_topic_message=True)
        chat.topics.add(root["message_id"])
        return int(root["message_id"])

    def writable(self, identity: int) -> Chat:
        """The chat that the bot may write to.

        Raises:
            ApiError: it does not exist, has moved, or the bot was shut out.
        """
        chat = self._chats.get(identity)
        if chat is None:
            raise bad_request("chat not found")
        if chat.upgraded_to is not None:
            raise ApiError(400, _UPGRADED, migrate_to_chat_id=chat.upgraded_to)
        if chat.forbidden:
            raise ApiError(403, f"Forbidden: {chat.forbidden}")
        return chat

    def put(
        self,
        chat: Chat,
        author: Json,
        content: Json,
        *,
        reply_to: int | None = None,
        topic: int | None = None,
    ) -> Json:
        """Keep a message and return it as the server would send it."""
        message: Json = {
            "message_id": next(self._ids),
            "date": int(time.time()),
            "chat": chat.json,
            "from": author,
            **content,
        }
        if topic is not None:
            message.update(message_thread_id=topic, is_topic_message=True)
            reply_to = reply_to or topic  # what is said in a topic replies to its root
        if reply_to is not None:
            answered = chat.messages[reply_to]
            message["reply_to_message"] = {
                key: value for key, value in answered.items() if key != "reply_to_message"
            }
            if chat.kind == "supergroup":  # a thread of replies is marked like a topic, almost
                message.setdefault("message_thread_id", reply_to)
        chat.messages[message["message_id"]] = message
        return message

    def _add(self, chat: Chat) -> Chat:
        self._chats[chat.id] = chat
        return chat
