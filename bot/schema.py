"""The tables of the bot's database, as the migrations that made them, oldest first.

A migration that was released is never changed: a database remembers which it has had, and
gets the others when it is opened.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations


def migrations() -> Migrations:
    """Return every migration, to be applied in order."""
    found = Migrations("bot")
    found(name="1_first")(_first)
    found(name="2_resets")(_resets)
    found(name="3_shown")(_shown)
    return found


def _first(db: Database) -> None:
    """Inbox, turns, outbox, chats, and what plugins keep.

    ``inbox.state`` is accepted (to be answered), done or refused (too much at once).
    ``turns.kind`` is user, assistant, undo (of the round) or reset; a round is named after the
    inbox row that it answers. ``outbox.state`` is pending, unknown (being sent, or killed
    while it was), shown (part of a reply that still grows), sent or failed.
    """
    db.executescript(
        """
        CREATE TABLE inbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            platform TEXT NOT NULL, self_id TEXT NOT NULL,
            chat TEXT NOT NULL, message_id TEXT NOT NULL,
            session TEXT NOT NULL, user TEXT NOT NULL,
            state TEXT NOT NULL, event TEXT NOT NULL, created REAL NOT NULL,
            UNIQUE (platform, self_id, chat, message_id)
        ) STRICT;
        CREATE INDEX inbox_waiting ON inbox (id) WHERE state = 'accepted';
        CREATE INDEX inbox_user ON inbox (user);
        CREATE TABLE turns (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            session TEXT NOT NULL, round INTEGER NOT NULL, user TEXT NOT NULL,
            kind TEXT NOT NULL, text TEXT NOT NULL, created REAL NOT NULL
        ) STRICT;
        CREATE INDEX turns_session ON turns (session, id);
        CREATE INDEX turns_round ON turns (session, round, kind);
        CREATE INDEX turns_user ON turns (user);
        CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            session TEXT NOT NULL, round INTEGER NOT NULL, user TEXT NOT NULL,
            state TEXT NOT NULL, message TEXT NOT NULL,
            message_id TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL
        ) STRICT;
        CREATE INDEX outbox_pending ON outbox (session, id) WHERE state = 'pending';
        CREATE INDEX outbox_user ON outbox (user);
        CREATE TABLE chats (
            key TEXT PRIMARY KEY, kind TEXT NOT NULL, persona TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE plugin_storage (
            plugin TEXT NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL,
            value TEXT NOT NULL, PRIMARY KEY (plugin, scope, key)
        ) STRICT, WITHOUT ROWID;
        """
    )


def _resets(db: Database) -> None:
    """Where a session's history begins, without reading all of it for each reply."""
    db.execute("CREATE INDEX turns_reset ON turns (session, id) WHERE kind = 'reset'")


def _shown(db: Database) -> None:
    """Which replies were growing when the bot was killed, and what answers a message."""
    db.execute("CREATE INDEX outbox_shown ON outbox (round) WHERE state = 'shown'")
    db.execute("CREATE INDEX outbox_unknown ON outbox (round) WHERE state = 'unknown'")
