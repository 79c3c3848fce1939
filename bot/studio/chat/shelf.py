"""A small SQLite file of the studio's own that a few threads read and write.

What stands in it is somebody's talk, so a file that is damaged is set aside, never deleted,
and the studio goes on with an empty one and says so.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from bot.database import store_error
from bot.errors import StoreError
from trainer.errors import Fault
from trainer.language import say

Columns = dict[str, type]
"""Names and types of a table; the first is its key."""


class Shelf:
    """A database file, made when it is not there.

    Args:
        path: the file.
        tables: those that it must have.

    Attributes:
        path: the file.
        told: what happened to a damaged one, if there was one.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(self, path: Path, tables: dict[str, Columns]) -> None:
        self.path = path
        self.told: Fault | None = None
        self._lock = threading.Lock()
        try:
            self._db = _open(path, tables)
        except sqlite3.DatabaseError as error:
            if not _is_damaged(error):
                raise store_error(path, error) from None
            self.told = _set_aside(path)
            self._db = _open(path, tables)

    @contextmanager
    def open(self) -> Iterator[Database]:
        """Read and write, all or nothing.

        Raises:
            StoreError: the disk is full, or the file was damaged meanwhile.
        """
        with self._lock:
            try:
                with self._db.atomic():
                    yield self._db
            except sqlite3.Error as error:
                raise self._worded(error) from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _worded(self, error: sqlite3.Error) -> StoreError:
        if not _is_damaged(error):
            return store_error(self.path, error)
        return StoreError(
            say(zh="这个文件坏了", en="this file is damaged"),
            path=self.path,
            fix=say(
                zh="重新打开工作室：坏掉的会放到一边，不会删掉",
                en="open the studio anew: it sets the damaged one aside and deletes nothing",
            ),
            code="shelf-damaged",
        )


def _open(path: Path, tables: dict[str, Columns]) -> Database:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=5)
    try:
        found = connection.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {found}")
        connection.execute("PRAGMA journal_mode = WAL")
        db = Database(connection)
        for name, columns in tables.items():
            db.table(name).create(columns, pk=next(iter(columns)), if_not_exists=True)
    except BaseException:
        connection.close()
        raise
    return db


def _is_damaged(error: sqlite3.Error) -> bool:
    return any(word in str(error) for word in ("malformed", "not a database", "has no column"))


def _set_aside(path: Path) -> Fault:
    """Rename a damaged file with what belongs to it; returns what to tell."""
    kept = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for end in ("", "-wal", "-shm"):
        part = path.with_name(path.name + end)
        if part.exists():
            part.replace(kept.with_name(kept.name + end))
    return Fault(
        say(
            zh=f"{path.name} 坏了，已改名为 {kept.name} 放在一边，现在从空的开始",
            en=f"{path.name} was damaged; it was set aside as {kept.name}, and a new one was begun",
        ),
        kept,
        fix=say(zh="有备份就放回原处", en="put a backup in its place, if there is one"),
        code="shelf-damaged",
        severity="warning",
    )
