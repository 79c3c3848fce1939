"""What the bot's database shows: the queue, who talked to it, and the last messages.

The file is opened to be read, and never made, migrated or written, since a bot may be
writing it. Months of talk may stand in it, so every question is about the latest rows or
answered by an index.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from bot.errors import StoreError
from bot.event import SessionKey

LATEST = 1000
"""Rows of the inbox and the outbox that are looked at."""

MESSAGES, SESSIONS, FAILURES = 20, 50, 10
"""Most of each that are returned."""

PATIENCE = 0.5
"""Seconds that a locked database is waited for."""


@dataclass(frozen=True)
class Queue:
    """How much there is to do.

    Attributes:
        waiting: messages that wait for an answer.
        unsent: replies that wait to be sent.
        unknown: of the latest replies, those of which nobody knows whether they arrived.
        failed: of the latest replies, those that did not arrive.
    """

    waiting: int = 0
    unsent: int = 0
    unknown: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Session:
    """A conversation, lately.

    Attributes:
        key: who shares it.
        kind: ``private``, ``group``, or empty if that is not known.
        persona: the persona that was chosen in it, if one was.
        rounds: questions that were answered in it, ever.
        last: when something was said to it, in Unix seconds.
    """

    key: SessionKey
    kind: str
    persona: str
    rounds: int
    last: float


@dataclass(frozen=True)
class Message:
    """Something that was said.

    Attributes:
        id: the row in its table; the log's lines carry it for what came in.
        session: where.
        who: the name of who said it; empty for the bot.
        text: what; somebody's own words.
        state: as the tables have it: accepted, done, refused; pending, unknown, sent, failed.
        at: when, in Unix seconds.
    """

    id: int
    session: SessionKey
    who: str
    text: str
    state: str
    at: float

    @property
    def is_ours(self) -> bool:
        """Whether the bot said it."""
        return self.state in ("pending", "unknown", "shown", "sent", "failed")


@dataclass(frozen=True)
class Failure:
    """A reply that did not arrive, or may not have.

    Attributes:
        session: where to.
        state: failed or unknown.
        reason: why; without secrets.
        at: when it was written, in Unix seconds.
    """

    session: SessionKey
    state: str
    reason: str
    at: float


@dataclass(frozen=True)
class View:
    """Everything that is shown of a database.

    Attributes:
        chats: how many chats there ever were.
    """

    queue: Queue = Queue()
    chats: int = 0
    sessions: list[Session] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def view(store: Path) -> View | None:
    """Look into a database; None if there is none yet.

    Raises:
        StoreError: it is locked or damaged, or no database of ours.
    """
    if not store.is_file():
        return None
    with _opened(store) as db:
        return View(
            _queue(db),
            int(db.execute("SELECT count(*) FROM chats").fetchone()[0]),
            list(_sessions(db)),
            _messages(db),
            list(_failures(db)),
        )


@contextmanager
def _opened(store: Path) -> Iterator[sqlite3.Connection]:
    from bot.database import store_error

    address = f"file:{quote(str(store.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as db:
            db.execute("BEGIN")  # all questions are about one moment
            yield db
    except sqlite3.Error as error:
        raise store_error(store, error) from None
    except (ValueError, KeyError, TypeError) as error:  # rows that no bot wrote
        raise StoreError(str(error), path=store, code="store") from None


def _queue(db: sqlite3.Connection) -> Queue:
    waiting = db.execute("SELECT count(*) FROM inbox WHERE state = 'accepted'").fetchone()[0]
    unsent = db.execute("SELECT count(*) FROM outbox WHERE state = 'pending'").fetchone()[0]
    latest = dict(db.execute(_OUTCOMES, [LATEST]).fetchall())
    return Queue(waiting, unsent, latest.get("unknown", 0), latest.get("failed", 0))


def _sessions(db: sqlite3.Connection) -> Iterator[Session]:
    for text, last in db.execute(_SESSIONS, [LATEST, SESSIONS]).fetchall():
        key = SessionKey.parse(text)
        rounds = db.execute(_ROUNDS, [text]).fetchone()[0]
        chat = db.execute("SELECT kind, persona FROM chats WHERE key = ?", [str(key.whole_chat)])
        kind, persona = chat.fetchone() or ("", None)
        yield Session(key, kind, persona or "", rounds, last)


def _messages(db: sqlite3.Connection) -> list[Message]:
    heard = [
        _heard(*row)
        for row in db.execute(
            "SELECT id, session, state, event, created FROM inbox ORDER BY id DESC LIMIT ?",
            [MESSAGES],
        )
    ]
    said = [
        Message(id, SessionKey.parse(session), "", json.loads(message)["text"], state, at)
        for id, session, state, message, at in db.execute(
            "SELECT id, session, state, message, created FROM outbox ORDER BY id DESC LIMIT ?",
            [MESSAGES],
        )
    ]
    return sorted([*heard, *said], key=lambda one: one.at, reverse=True)[:MESSAGES]


def _heard(id: int, session: str, state: str, event: str, at: float) -> Message:
    found = json.loads(event)
    sender = found["sender"]
    who = str(sender.get("name") or sender["id"])
    return Message(id, SessionKey.parse(session), who, found["text"], state, at)


def _failures(db: sqlite3.Connection) -> Iterator[Failure]:
    for session, state, reason, at in db.execute(_FAILURES, [LATEST, FAILURES]):
        yield Failure(SessionKey.parse(session), state, reason, at)


_OUTCOMES = """
    SELECT state, count(*) FROM (SELECT state FROM outbox ORDER BY id DESC LIMIT ?) GROUP BY state
"""
_SESSIONS = """
    SELECT session, max(created) AS last
    FROM (SELECT session, created FROM inbox ORDER BY id DESC LIMIT ?)
    GROUP BY session ORDER BY last DESC LIMIT ?
"""
_ROUNDS = "SELECT count(DISTINCT round) FROM turns WHERE session = ? AND kind = 'assistant'"
_FAILURES = """
    SELECT session, state, reason, created
    FROM (SELECT * FROM outbox ORDER BY id DESC LIMIT ?)
    WHERE state = 'failed' OR (state = 'unknown' AND reason <> '') ORDER BY id DESC LIMIT ?
"""
