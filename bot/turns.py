"""What was said in a session: turns that are only ever added, and what they amount to now.

A question and its answer are one round, named after the inbox row that it answers. To take a
round back or to begin anew is a turn too, so the history of a prompt is what is left over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from bot.event import SessionKey
from trainer.chat import Message


@dataclass(frozen=True, slots=True)
class Round:
    """A question and its answer."""

    id: int
    user: str
    assistant: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One row: ``kind`` is user, assistant, undo (of the round) or reset."""

    round: int
    kind: str
    text: str = ""


def read_rounds(db: Database, session: SessionKey, most: int) -> list[Round]:
    """Return the latest whole rounds since the last reset that were not taken back."""
    rows = db.conn.execute(_ROUNDS, (str(session), str(session), most)).fetchall()
    return [Round(*row) for row in reversed(rows)]


def write_turns(db: Database, session: SessionKey, user: str, turns: Sequence[Turn]) -> None:
    """Add turns, in order."""
    key, now = str(session), time.time()
    rows = [(key, turn.round, user, turn.kind, turn.text, now) for turn in turns]
    db.conn.executemany(_INSERT, rows)


def messages_of(rounds: Sequence[Round]) -> list[Message]:
    """Return rounds as an engine takes them."""
    return [
        message
        for one in rounds
        for message in (Message("user", one.user), Message("assistant", one.assistant))
    ]


_INSERT = "INSERT INTO turns (session, round, user, kind, text, created) VALUES (?, ?, ?, ?, ?, ?)"
_ROUNDS = """
    SELECT asked.round, asked.text, said.text FROM turns asked
    JOIN turns said ON said.session = asked.session AND said.round = asked.round
        AND said.kind = 'assistant'
    WHERE asked.session = ? AND asked.kind = 'user' AND asked.id > (
        SELECT coalesce(max(id), 0) FROM turns WHERE session = ? AND kind = 'reset')
    AND NOT EXISTS (
        SELECT 1 FROM turns undone WHERE undone.session = asked.session
        AND undone.round = asked.round AND undone.kind = 'undo')
    ORDER BY asked.id DESC LIMIT ?
"""
