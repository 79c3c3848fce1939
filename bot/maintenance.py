"""What is done to a database from outside, while a bot may be writing to it."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from bot.database import open_database, store_error
from bot.errors import StoreError
from bot.store import count_rows
from trainer.language import say

_PRIVATE = """
    SELECT key FROM chats WHERE kind = 'private' AND key IN (
        SELECT session FROM inbox WHERE user = :user
        UNION SELECT session FROM turns WHERE user = :user)
"""
"""The chats that a person alone has with the bot."""

_OF_A_USER = {
    "plugin_storage": f"""
        key = :user OR key IN ({_PRIVATE})
        OR key IN (SELECT session || ' ' || round FROM turns WHERE user = :user)
    """,
    "outbox": f"user = :user OR session IN ({_PRIVATE})",
    "chats": f"key IN ({_PRIVATE})",
    "turns": "user = :user",
    "inbox": "user = :user",
}
"""Which rows are about a person; the last two are what the others are found by.

What plugins keep is found by its key: the person, the private chat, or a session and the
round in it, as a correction is.
"""

DAY = 24 * 60 * 60

_BATCH = 2000
"""Rows deleted at a time: a bot that runs waits for each time to write."""

_YOUNGEST = "SELECT coalesce(min(id), 1 << 62) FROM {0} WHERE created BETWEEN ? AND ?"
_PRUNE = """
    DELETE FROM {0} WHERE id IN (
        SELECT id FROM {0} WHERE state <> '{1}' AND created < ? AND id < ? LIMIT ?)
"""


def check_database(path: Path) -> dict[str, int]:
    """Return how much of what there is.

    Raises:
        StoreError: it is missing or damaged.
    """
    with opened(path) as db:
        found = db.conn.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            raise store_error(path, sqlite3.DatabaseError(f"malformed: {found}"))
        return count_rows(db)


def export_user(path: Path, user: str) -> Iterator[dict[str, Any]]:
    """Yield every row about a person: what they said, what was answered, what is noted.

    Args:
        path: the database.
        user: ``platform:id``.

    Raises:
        StoreError: it is missing or damaged.
    """
    with opened(path) as db:
        for table, which in reversed(_OF_A_USER.items()):
            for row in db.query(f"SELECT * FROM {table} WHERE {which} ORDER BY 1", {"user": user}):
                values = {"value": json.loads(row["value"])} if "value" in row else {}
                yield {"table": table, **row, **values}


def forget_user(path: Path, user: str) -> int:
    """Delete every row about a person; returns how many.

    What still waits for its answer goes too, so a running bot may answer one more time.
    """
    with opened(path) as db, db.atomic():
        counts = [
            db.conn.execute(f"DELETE FROM {table} WHERE {which}", {"user": user}).rowcount
            for table, which in _OF_A_USER.items()
        ]
    return sum(counts)


def prune_database(path: Path, days: int) -> int:
    """Delete what was received and sent more than ``days`` ago and is done with.

    A row that was added after a young one is young, whatever the clock showed then: it may
    have been set since. By a clock that is behind now, there is less that is old.
    """
    now = time.time()
    before, total = now - days * DAY, 0
    with opened(path) as db:
        for table, state in (("inbox", "accepted"), ("outbox", "pending")):
            row = db.conn.execute(_YOUNGEST.format(table), (before, now)).fetchone()
            deleted = _BATCH
            while deleted == _BATCH:
                with db.atomic():
                    statement = _PRUNE.format(table, state)
                    deleted = db.conn.execute(statement, (before, row[0], _BATCH)).rowcount
                total += deleted
    return total


def back_up(path: Path, to: Path) -> None:
    """Copy a database whole, as it is at one moment.

    Raises:
        StoreError: it cannot be read, or ``to`` is there already or cannot be written.
    """
    if to.exists():
        raise StoreError(
            say(zh="已经有这个文件，没有覆盖它", en="this file is there already, it was left"),
            path=to,
            fix=say(zh="换一个文件名", en="give another name"),
            code="file-exists",
        )
    making = to.with_name(f".{to.name}.{os.getpid()}")
    with opened(path) as db:
        try:
            copy = sqlite3.connect(making)
            db.conn.backup(copy)
            copy.close()
            making.replace(to)
        except (sqlite3.Error, OSError) as error:
            raise store_error(to, error) from None
        finally:
            making.unlink(missing_ok=True)


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """Open a database that is there; what SQLite says of it meanwhile becomes a sentence.

    Raises:
        StoreError: it is missing or damaged.
    """
    if not path.is_file():
        raise StoreError(
            say(zh="没有这个数据库", en="there is no such database"),
            path=path,
            fix=say(zh="给出 renshe.yaml 里的 store", en="give the `store` of renshe.yaml"),
            code="no-store",
        )
    db = open_database(path)
    try:
        yield db
    except sqlite3.Error as error:
        raise store_error(path, error) from None
    finally:
        db.conn.close()
