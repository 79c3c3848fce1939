"""What the bot must not forget: what it was told, what was said, what still has to be said.

Each method is one transaction. Three rules make a kill at any moment harmless:

1. An event is in the inbox before its platform is told that it arrived; while it is
   ``accepted`` it will be answered.
2. Its turns, its replies in the outbox and its ``done`` are one transaction: either all are
   there, or it is answered afresh.
3. A message is ``unknown`` from before it is sent until its fate is known, so a kill
   leaves it unknown, and what is unknown is never sent again. An edit may be made again.

Turns are only ever added: undo and reset are turns too. A prompt is cut when it is built.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from sqlite_utils import Database

from bot.database import PATIENCE, Transactions, Work
from bot.event import (
    Account,
    ChatKind,
    Event,
    Failed,
    Outcome,
    Outgoing,
    Sent,
    SessionKey,
    successor,
)
from bot.turns import Round, Turn, read_rounds, write_turns

InboxState = Literal["accepted", "done", "refused"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event in the inbox that waits for its answer.

    Attributes:
        id: its row.
        session: where it was said.
        event: what was said.
        shown: the message that shows part of the answer already, since before a restart.
    """

    id: int
    session: SessionKey
    event: Event
    shown: Outgoing | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that answering some events leaves behind.

    Attributes:
        events: the inbox rows that it answers, in the order of their arrival.
        round: the question and the answer, if the persona said something.
        undone: the round that is taken back.
        reset: the history begins anew, before ``round``.
        persona: the persona that the chat now has.
        messages: what has to be sent; their ids are filled in.
    """

    events: Sequence[Accepted]
    round: tuple[str, str] | None = None
    undone: int | None = None
    reset: bool = False
    persona: str | None = None
    messages: Sequence[Outgoing] = ()


class Store:
    """The bot's memory in one SQLite file.

    Raises:
        StoreError: the file cannot be opened; from every method: it cannot be read or written.
    """

    def __init__(self, path: Path, *, patience: float = PATIENCE) -> None:
        self._transaction = Transactions(path, patience=patience)
        self._events = TypeAdapter(Event)
        self._messages = TypeAdapter(Outgoing)

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._transaction.close()

    # --- inbox --------------------------------------------------------------------------------

    async def accept(self, event: Event, session: SessionKey) -> Accepted | None:
        """Write an event down; None if it was there already."""
        row = (*event.dedupe_key, str(session), event.user, self._dump(event), time.time())

        chat = (str(session.whole_chat), event.chat.kind)

        def work(db: Database) -> int | None:
            cursor = db.conn.execute(_INSERT_EVENT, row)
            db.conn.execute("INSERT OR IGNORE INTO chats (key, kind) VALUES (?, ?)", chat)
            return cursor.lastrowid if cursor.rowcount else None

        found = await self._transaction(work)
        return None if found is None else Accepted(found, session, event)

    async def mark(self, events: Sequence[Accepted], state: InboxState) -> None:
        """Settle events without an answer; what is shown of one stays as it is."""
        shown = "UPDATE outbox SET state = 'sent' WHERE state = 'shown' AND round = ?"

        def work(db: Database) -> None:
            _mark(db, events, state)
            db.conn.executemany(shown, [(accepted.id,) for accepted in events])

        await self._transaction(work)

    async def waiting(self) -> list[Accepted]:
        """Return the events that nobody has answered yet, oldest first."""
        rows = await self._transaction(lambda db: db.conn.execute(_WAITING).fetchall(), long=True)
        return [
            Accepted(
                id,
                SessionKey.parse(session),
                self._events.validate_json(event),
                self._read_message(shown, message) if shown is not None else None,
            )
            for id, session, event, shown, message in rows
        ]

    # --- answers ------------------------------------------------------------------------------

    async def settle(self, answer: Answer, *, sending: bool = False) -> list[Outgoing]:
        """Write an answer down, whole; returns its messages, which have to be sent now.

        Args:
            answer: all of it.
            sending: its first message is about to be sent, as :meth:`sending` would note.
        """
        to = answer.events[0]

        def work(db: Database) -> list[Outgoing]:
            _mark(db, answer.events, "done")
            _write_turns(db, answer)
            return [
                self._put(db, to, message, "unknown" if sending and not index else "pending")
                for index, message in enumerate(answer.messages)
            ]

        return await self._transaction(work)

    def unsend(self, events: Sequence[Accepted]) -> None:
        """Have the answer to some events sent at the next start, if it was settled just now.

        For whoever was cancelled in :meth:`settle`, and so cannot know whether it was.
        """
        sql = (
            "UPDATE outbox SET state = 'pending' "
            "WHERE round = ? AND state = 'unknown' AND reason = ''"
        )
        self._transaction.later(lambda db: db.conn.execute(sql, [events[0].id]))

    async def begin(self, events: Sequence[Accepted], message: Outgoing) -> Outgoing:
        """Note that a first part of a reply is about to be sent, to be edited as it grows.

        Killed before :meth:`begun`, nobody knows whether it can be seen; the events wait for
        their answer still, and get a whole one.
        """

        def work(db: Database) -> Outgoing:
            begun = self._put(db, events[0], message, state="unknown")
            _outcome_of(begun, "unknown", reason="its first part was being sent")(db)
            return begun

        return await self._transaction(work)

    async def begun(self, message: Outgoing, outcome: Outcome) -> None:
        """Note what became of a first part.

        If it can be edited, it is :attr:`Accepted.shown` after a restart, and the whole reply
        has to take its place by :meth:`finish`.
        """

        def work(db: Database) -> None:
            # One that was not delivered is not tried again by itself: its reply has grown since.
            fate = Failed(outcome.reason) if isinstance(outcome, Failed) else outcome
            _fate_of(message, fate)(db)
            if (shown := successor(message, outcome)) is not None:
                self._rewrite(db, shown, "shown")

        await self._transaction(work)

    async def finish(self, answer: Answer, shown: Outgoing) -> list[Outgoing]:
        """Write down an answer part of which is shown; returns what has to be edited and sent."""
        first, *others = answer.messages or [shown]
        whole = replace(first, id=shown.id, chat=shown.chat, edits=shown.edits)

        def work(db: Database) -> list[Outgoing]:
            _mark(db, answer.events, "done")
            _write_turns(db, answer)
            self._rewrite(db, whole, "pending")
            return [whole, *(self._put(db, answer.events[0], message) for message in others)]

        return await self._transaction(work)

    # --- outbox -------------------------------------------------------------------------------

    async def enqueue(self, session: SessionKey, messages: Sequence[Outgoing]) -> list[Outgoing]:
        """Write down messages that answer nothing (a timer's)."""
        return await self._transaction(
            lambda db: [self._insert(db, str(session), 0, "", one) for one in messages]
        )

    async def sending(self, message: Outgoing) -> None:
        """Note that a message is about to be sent; until it is told, its fate is unknown."""
        await self._transaction(_outcome_of(message, "unknown"))

    def sent(self, message: Outgoing, outcome: Outcome) -> None:
        """Note what became of a message; one that may be tried again is pending.

        Nobody has to wait for that: killed before it is on disk, the message stays unknown.
        """
        self._transaction.later(_fate_of(message, outcome))

    async def unsent(self) -> list[tuple[SessionKey, Outgoing]]:
        """Return the messages that were never begun to be sent, oldest first."""
        sql = "SELECT id, session, message FROM outbox WHERE state = 'pending' ORDER BY id"
        rows = await self._transaction(lambda db: db.conn.execute(sql).fetchall(), long=True)
        return [
            (SessionKey.parse(session), self._read_message(id, message))
            for id, session, message in rows
        ]

    # --- sessions and chats ----------------------------------------------------------------------

    async def history(self, session: SessionKey, rounds: int) -> list[Round]:
        """Return the latest whole rounds since the last reset that were not taken back."""
        return await self._transaction.read(lambda db: read_rounds(db, session, rounds))

    async def personas(self) -> dict[SessionKey, str]:
        """Return the personas that were chosen, by the key of the chat."""
        sql = "SELECT key, persona FROM chats WHERE persona IS NOT NULL"
        rows = await self._transaction(lambda db: db.conn.execute(sql).fetchall(), long=True)
        return {SessionKey.parse(key): persona for key, persona in rows}

    async def chat_kind(self, session: SessionKey) -> ChatKind | None:
        """Return whether a chat is private or a group; None if the bot was never in it."""
        sql = "SELECT kind FROM chats WHERE key = ?"
        key = [str(session.whole_chat)]
        rows = await self._transaction.read(lambda db: db.conn.execute(sql, key).fetchall())
        return rows[0][0] if rows else None

    async def move_chat(self, account: Account, old: str, new: str) -> None:
        """Give everything of chat ``old`` to chat ``new``."""
        before = str(SessionKey(account.platform, account.self_id, old))
        after = str(SessionKey(account.platform, account.self_id, new))
        await self._transaction(lambda db: self._move(db, before, after, new), long=True)

    async def counts(self) -> dict[str, int]:
        """Return how many rows there are in each state of inbox and outbox, and turns."""
        return await self._transaction.survey(count_rows)

    # --- plugin storage -----------------------------------------------------------------------

    async def get(self, plugin: str, scope: str, key: str) -> str | None:
        """Return what a plugin kept, as the text it gave."""
        sql = "SELECT value FROM plugin_storage WHERE plugin = ? AND scope = ? AND key = ?"
        rows = await self._transaction.read(
            lambda db: db.conn.execute(sql, (plugin, scope, key)).fetchall()
        )
        return rows[0][0] if rows else None

    async def items(self, plugin: str, scope: str) -> dict[str, str]:
        """Return everything that a plugin kept in a scope, by key."""
        sql = "SELECT key, value FROM plugin_storage WHERE plugin = ? AND scope = ? ORDER BY key"
        rows = await self._transaction.read(
            lambda db: db.conn.execute(sql, (plugin, scope)).fetchall()
        )
        return dict(rows)

    async def put(self, plugin: str, scope: str, key: str, value: str | None) -> None:
        """Keep a text for a plugin; None forgets it."""
        if value is None:
            sql = "DELETE FROM plugin_storage WHERE plugin = ? AND scope = ? AND key = ?"
            values: tuple[str, ...] = (plugin, scope, key)
        else:
            sql = "INSERT OR REPLACE INTO plugin_storage VALUES (?, ?, ?, ?)"
            values = (plugin, scope, key, value)
        await self._transaction(lambda db: db.conn.execute(sql, values).rowcount)

    # ------------------------------------------------------------------------------------------

    def _dump(self, event: Event) -> str:
        return self._events.dump_json(event).decode()

    def _read_message(self, id: int, text: str) -> Outgoing:
        return replace(self._messages.validate_json(text), id=str(id))

    def _dump_message(self, message: Outgoing) -> str:
        return self._messages.dump_json(message).decode()

    def _rewrite(self, db: Database, message: Outgoing, state: str) -> None:
        """Replace what is written of a message that is in the outbox."""
        values = (self._dump_message(message), state, int(message.id))
        db.conn.execute("UPDATE outbox SET message = ?, state = ? WHERE id = ?", values)

    def _put(
        self, db: Database, to: Accepted, message: Outgoing, state: str = "pending"
    ) -> Outgoing:
        return self._insert(db, str(to.session), to.id, to.event.user, message, state)

    def _insert(
        self,
        db: Database,
        session: str,
        round: int,
        user: str,
        message: Outgoing,
        state: str = "pending",
    ) -> Outgoing:
        """Insert a message; its id is that of the row."""
        row = (session, round, user, state, self._dump_message(message), time.time())
        return replace(message, id=str(db.conn.execute(_INSERT_MESSAGE, row).lastrowid))

    def _move(self, db: Database, before: str, after: str, chat: str) -> None:
        """Re-key sessions; what waits or is unsent goes to the new chat as well."""
        ends = (f"{before}:", f"{before} ")  # a thread or a user follows, or a plugin's own
        rekey = (after, len(before) + 1, before, len(before) + 1, *ends)
        db.conn.execute(f"UPDATE OR REPLACE chats SET {_REKEY.format('key')}", rekey)
        for table in ("inbox", "turns", "outbox"):
            db.conn.execute(f"UPDATE {table} SET {_REKEY.format('session')}", rekey)
        for column in ("scope", "key"):  # what plugins keep of a chat
            db.conn.execute(f"UPDATE OR REPLACE plugin_storage SET {_REKEY.format(column)}", rekey)
        here, now = (
            "(session = ? OR substr(session, 1, ?) = ?)",
            (after, len(after) + 1, f"{after}:"),
        )
        # What is shown cannot be edited from the new chat, where its number is another message's.
        db.conn.execute(f"UPDATE outbox SET state = 'sent' WHERE state = 'shown' AND {here}", now)
        pending = f"SELECT id, message FROM outbox WHERE state = 'pending' AND {here}"
        for id, text in db.conn.execute(pending, now).fetchall():
            message = self._read_message(id, text)
            moved = replace(message, chat=replace(message.chat, id=chat), edits=None)
            self._rewrite(db, moved, "pending")


_INSERT_EVENT = (
    "INSERT OR IGNORE INTO inbox "
    "(platform, self_id, chat, message_id, session, user, state, event, created) "
    "VALUES (?, ?, ?, ?, ?, ?, 'accepted', ?, ?)"
)
_INSERT_MESSAGE = (
    "INSERT INTO outbox (session, round, user, state, message, created) VALUES (?, ?, ?, ?, ?, ?)"
)
_WAITING = """
    SELECT inbox.id, inbox.session, inbox.event, outbox.id, outbox.message FROM inbox
    LEFT JOIN outbox ON outbox.round = inbox.id AND outbox.state = 'shown'
    WHERE inbox.state = 'accepted' ORDER BY inbox.id
"""
_REKEY = "{0} = ? || substr({0}, ?) WHERE {0} = ? OR substr({0}, 1, ?) IN (?, ?)"


def count_rows(db: Database) -> dict[str, int]:
    """Return how many rows there are in each state of inbox and outbox, and turns."""
    counts: dict[str, int] = {}
    for table in ("inbox", "outbox"):
        rows = db.conn.execute(f"SELECT state, count(*) FROM {table} GROUP BY state ORDER BY state")
        counts |= {f"{table}.{state}": number for state, number in rows.fetchall()}
    turns = db.conn.execute("SELECT count(*) FROM turns WHERE kind IN ('user', 'assistant')")
    return {**counts, "turns": int(turns.fetchone()[0])}


def _mark(db: Database, events: Sequence[Accepted], state: InboxState) -> None:
    rows = [(state, accepted.id) for accepted in events]
    db.conn.executemany("UPDATE inbox SET state = ? WHERE id = ?", rows)


def _fate_of(message: Outgoing, outcome: Outcome) -> Work[object]:
    if isinstance(outcome, Sent):
        return _outcome_of(message, "sent", outcome.message_id)
    if isinstance(outcome, Failed):
        state = "failed" if outcome.retry_after is None else "pending"
        return _outcome_of(message, state, reason=outcome.reason)
    return _outcome_of(message, "unknown", reason=outcome.reason)


def _outcome_of(
    message: Outgoing, state: str, message_id: str = "", reason: str = ""
) -> Work[object]:
    sql = "UPDATE outbox SET state = ?, message_id = ?, reason = ? WHERE id = ?"
    values = (state, message_id, reason, int(message.id))
    return lambda db: db.conn.execute(sql, values)


def _write_turns(db: Database, answer: Answer) -> None:
    last = answer.events[-1]
    turns: list[Turn] = []
    if answer.undone is not None:
        turns.append(Turn(answer.undone, "undo"))
    if answer.reset:
        turns.append(Turn(last.id, "reset"))
    if answer.round is not None:
        user, assistant = answer.round
        turns += [Turn(last.id, "user", user), Turn(last.id, "assistant", assistant)]
    write_turns(db, last.session, last.event.user, turns)
    if answer.persona is not None:
        row = (answer.persona, str(last.session.whole_chat))
        db.conn.execute("UPDATE chats SET persona = ? WHERE key = ?", row)
