"""Chats on disk, each readable only from the browser that had it.

A browser holds a random secret and shows it with every question; here only its hash is
kept, so that whoever reads the file cannot be taken for anyone. What was said is written
before it is answered, and a reply as it grows, so that a server that is stopped loses at
most a second of it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlite_utils import Database

from bot.studio.chat.shelf import Shelf
from trainer.chat import Message
from trainer.errors import RensheError
from trainer.guard import Counts
from trainer.language import say

LONGEST = 1000
"""Characters in a message at most: what a persona file takes as a question."""

MOST_ROUNDS = 200
"""Rounds in a chat; no model sees as many."""

_TITLE = 40

_SECRET = 24
"""Random bytes of a browser's secret."""

State = Literal["growing", "done", "stopped", "cut", "failed", "put-right"]


class Reply(BaseModel):
    """What one speaker answered.

    Attributes:
        text: what is shown of it.
        state: ``growing``; ``done``; ``stopped`` by the visitor; ``cut`` when the server or
            the page went away; ``failed``, and ``text`` may be empty; ``put-right`` when a
            person wrote what it should have said.
        problem: why it failed, and how to mend it.
        counts: what the guard did for it.
    """

    model_config = ConfigDict(frozen=True)

    text: str = ""
    state: State = "growing"
    problem: str = ""
    counts: Counts = Counts()


class Round(BaseModel):
    """A message and what each speaker made of it."""

    id: str = Field(default_factory=lambda: secrets.token_hex(4))
    user: str
    replies: dict[str, Reply] = {}


class Chat(BaseModel):
    """One conversation.

    Attributes:
        id: unguessable, though it opens nothing without the secret.
        speakers: keys of those that answer now (:class:`bot.studio.chat.speakers.Speaker`).
        rounds: oldest first.
    """

    id: str = ""
    speakers: list[str] = []
    rounds: list[Round] = []

    def history(self, speaker: str, before: str) -> list[Message]:
        """Return what ``speaker`` knows ahead of a round: the rounds that it answered itself."""
        messages: list[Message] = []
        for one in self.rounds:
            if one.id == before:
                break
            reply = one.replies.get(speaker)
            if reply is not None and reply.text:
                messages += [Message("user", one.user), Message("assistant", reply.text)]
        return messages

    def round(self, id: str) -> Round:
        """Return a round.

        Raises:
            RensheError: it is not there any more.
        """
        for one in self.rounds:
            if one.id == id:
                return one
        raise _changed()


class Listed(BaseModel):
    """A chat in the list of chats."""

    id: str
    title: str
    changed: float


class Chats:
    """All chats of a studio.

    Args:
        path: the file they are kept in.

    Attributes:
        told: what happened to a damaged file, if there was one.

    Raises:
        StoreError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        columns = {"id": str, "visitor": str, "title": str, "changed": float, "body": str}
        self._shelf = Shelf(path, {"chats": columns, "growing": {"id": str}})
        self.told = self._shelf.told
        self._mark_cut()

    def listed(self, secret: str) -> list[Listed]:
        """Return the chats of a browser, the latest first."""
        sql = "SELECT id, title, changed FROM chats WHERE visitor = ? ORDER BY changed DESC"
        with self._shelf.open() as db:
            return [Listed(**row) for row in db.query(sql, [_hash(secret)])]

    def open(self, secret: str, chat: str) -> Chat:
        """Return a chat.

        Raises:
            RensheError: there is none of this id in this browser.
        """
        with self._shelf.open() as db:
            return _read(db, _hash(secret), chat)

    def begin(self, secret: str, speakers: list[str], rounds: list[Round] | None = None) -> Chat:
        """Begin a chat, with the ``rounds`` of another if it goes on from there."""
        chat = Chat(id=secrets.token_urlsafe(12), speakers=speakers, rounds=rounds or [])
        with self._shelf.open() as db:
            _write(db, _hash(secret), chat)
        return chat

    def delete(self, secret: str, chat: str) -> None:
        """Delete a chat of a browser."""
        with self._shelf.open() as db:
            sql = "DELETE FROM chats WHERE id = ? AND visitor = ?"
            db.execute(sql, [chat, _hash(secret)])

    def choose(self, secret: str, chat: str, speakers: list[str]) -> Chat:
        """Let others answer from here on; what was said stays."""

        def change(body: Chat) -> None:
            body.speakers = speakers

        return self._change(secret, chat, change)

    def say(self, secret: str, chat: str, text: str) -> Chat:
        """Add a message.

        Raises:
            RensheError: it is empty or too long, or the chat is.
        """
        text = checked(text)

        def change(body: Chat) -> None:
            if len(body.rounds) >= MOST_ROUNDS:
                raise _too_many_rounds()
            body.rounds.append(Round(user=text))

        return self._change(secret, chat, change)

    def reword(self, secret: str, chat: str, at: str, text: str) -> Chat:
        """Change a message; what followed an earlier one stays where it is, in the old chat.

        Returns:
            the chat in which it goes on: this one after a change of the last message, else a
            new one.
        """
        text = checked(text)
        body = self.open(secret, chat)
        place = body.rounds.index(body.round(at))
        if place < len(body.rounds) - 1:
            rounds = [*body.rounds[:place], Round(user=text)]
            return self.begin(secret, body.speakers, rounds)

        def change(body: Chat) -> None:
            body.rounds[body.rounds.index(body.round(at))] = Round(user=text)

        return self._change(secret, chat, change)

    def undo(self, secret: str, chat: str, at: str) -> Chat:
        """Take a round back, and all that followed it."""

        def change(body: Chat) -> None:
            del body.rounds[body.rounds.index(body.round(at)) :]

        return self._change(secret, chat, change)

    def answer(self, secret: str, chat: str, at: str, replies: dict[str, Reply]) -> None:
        """Keep what speakers answered so far; a chat or round that is gone is left alone."""
        visitor = _hash(secret)
        with suppress(GoneError), self._shelf.open() as db:
            body = _read(db, visitor, chat)
            body.round(at).replies.update(replies)
            _write(db, visitor, body)
            _note_growing(db, body)

    def put_right(self, secret: str, chat: str, at: str, speaker: str, text: str) -> Chat:
        """Let a reply be what it should have been, so that the chat goes on from there."""

        def change(body: Chat) -> None:
            body.round(at).replies[speaker] = Reply(text=text, state="put-right")

        return self._change(secret, chat, change)

    def close(self) -> None:
        """Close the file."""
        self._shelf.close()

    def _change(self, secret: str, chat: str, change: Callable[[Chat], None]) -> Chat:
        visitor = _hash(secret)
        with self._shelf.open() as db:
            body = _read(db, visitor, chat)
            change(body)
            _write(db, visitor, body)
        return body

    def _mark_cut(self) -> None:
        """Mark replies that were growing when the server was stopped."""
        with self._shelf.open() as db:
            sql = "SELECT chats.id, visitor FROM chats JOIN growing USING (id)"
            for row in list(db.query(sql)):
                try:
                    body = _read(db, row["visitor"], row["id"])
                except RensheError:  # whoever opens it is told
                    continue
                for one in body.rounds:
                    one.replies = {key: _cut(reply) for key, reply in one.replies.items()}
                _write(db, row["visitor"], body, touch=False)
            db.execute("DELETE FROM growing")


def new_secret() -> str:
    """Return a secret for a browser that has none."""
    return secrets.token_urlsafe(_SECRET)


def is_secret(shown: object) -> bool:
    """Tell whether what a browser shows can be a secret of ours."""
    return isinstance(shown, str) and _SECRET <= len(shown) <= 4 * _SECRET


class GoneError(RensheError):
    """A chat or a round that is not there, or is somebody else's."""


def checked(text: str) -> str:
    """Return a message without the blanks around it.

    Raises:
        RensheError: it is empty or too long.
    """
    text = text.strip()
    if not text:
        raise RensheError(say(zh="说点什么吧", en="say something"), code="empty-message")
    if len(text) > LONGEST:
        raise RensheError(
            say(
                zh=f"一次最多说 {LONGEST} 个字，这里有 {len(text)} 个",
                en=f"a message has {LONGEST} characters at most, this one {len(text)}",
            ),
            fix=say(zh="分几次说", en="say it in several"),
            code="long-message",
        )
    return text


def _hash(secret: str) -> str:
    if not is_secret(secret):
        raise _nobody()
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _read(db: Database, visitor: str, chat: str) -> Chat:
    sql = "SELECT body FROM chats WHERE id = ? AND visitor = ?"
    row = db.execute(sql, [chat, visitor]).fetchone()
    if row is None:
        raise _nobody()
    try:
        return Chat.model_validate_json(row[0])
    except ValidationError:
        raise RensheError(
            say(zh="这段对话在磁盘上坏了，读不出来", en="this chat is damaged on disk"),
            fix=say(zh="新开一段", en="begin a new one"),
            code="chat-damaged",
        ) from None


def _write(db: Database, visitor: str, chat: Chat, *, touch: bool = True) -> None:
    body = chat.model_dump_json()
    row: dict[str, str | float]
    row = {"id": chat.id, "visitor": visitor, "title": _title(chat), "body": body}
    if touch:
        row["changed"] = time.time()
    db.table("chats").upsert(row, pk="id")


def _note_growing(db: Database, chat: Chat) -> None:
    """Note whether a reply grows, for :meth:`Chats._mark_cut` to find."""
    replies = (reply for one in chat.rounds for reply in one.replies.values())
    if any(reply.state == "growing" for reply in replies):
        db.table("growing").insert({"id": chat.id}, pk="id", ignore=True)
    else:
        db.execute("DELETE FROM growing WHERE id = ?", [chat.id])


def _title(chat: Chat) -> str:
    first = " ".join(chat.rounds[0].user.split()) if chat.rounds else ""
    return first if len(first) <= _TITLE else first[:_TITLE] + "…"


def _cut(reply: Reply) -> Reply:
    return reply.model_copy(update={"state": "cut"}) if reply.state == "growing" else reply


def _nobody() -> GoneError:
    return GoneError(
        say(zh="这个浏览器里没有这段对话", en="this browser has no such chat"),
        fix=say(zh="在列表里选一段，或新开一段", en="choose one in the list, or begin anew"),
        code="no-chat",
    )


def _changed() -> GoneError:
    return GoneError(
        say(zh="这一句已经不在了", en="this message is not there any more"),
        fix=say(
            zh="另一个标签页可能改过这段对话；页面已刷新",
            en="another tab may have changed this chat; the page shows it as it is now",
        ),
        code="no-round",
    )


def _too_many_rounds() -> RensheError:
    return RensheError(
        say(zh=f"这段对话有 {MOST_ROUNDS} 轮了", en=f"this chat has {MOST_ROUNDS} rounds"),
        fix=say(zh="新开一段", en="begin a new one"),
        code="long-chat",
    )
