"""One SQLite file, written in turns by the loop and a thread, many transactions to a commit.

A commit that survives a power cut waits for the disk, which is slow, but not slower for a
hundred messages than for one. So what the bot wants written queues up while a commit is
under way, and the next commit takes all of it (group commit). A database that another
process holds (a backup, ``renshe db``) is waited for: a finished reply must not become an
error because of a locked moment.

What waits for the disk, for a lock, or may take long is the thread's. The statements before
a commit take microseconds, so the loop runs them itself: two threads that pass the
interpreter to and fro at each of them cost several times as much. A few rows are read at
once too, on a connection of their own, since with a write-ahead log readers wait for no writer.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database

from bot.errors import StoreError
from bot.schema import migrations
from trainer.language import say

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Database], T]
"""A piece of a transaction; it may be run again after a lock, so it touches nothing else."""

BATCH = 256
"""Most pieces of work in a commit."""

LOG = 4000
"""Pages of the write-ahead log after which it is copied into the file: writing waits meanwhile.

Four times SQLite's own 1000, for one copy in place of four; the log takes 16 MB then.
"""

PATIENCE = 60.0
"""Seconds for which a locked database is waited for."""


@dataclass
class _Job:
    """A piece of work, and who waits for it, if anybody does; ``long`` keeps it off the loop."""

    work: Work[Any]
    future: asyncio.Future[Any] | None
    long: bool = False
    result: Any = None
    error: BaseException | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether who asked for it has not been cancelled since."""
        return self.future is None or not self.future.cancelled()

    def tell(self) -> None:
        """Hand the result over; nobody may wait for it any more."""
        if self.future is None:
            if self.error is not None:
                log.error("not written: %s", self.error)
            return
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


@dataclass
class _Batch:
    """Jobs of one commit, and whether all but the commit was done already."""

    jobs: list[_Job]
    has_run: bool = False


class Transactions:
    """A database that any task of one loop may write to.

    Args:
        path: the file; made if it is not there.
        patience: see :data:`PATIENCE`.

    Raises:
        StoreError: the file cannot be opened, or is no database of ours.
    """

    def __init__(self, path: Path, *, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._closed = False
        self._db = open_database(path)
        self._reader = _open_reader(path)
        # The thread waits for a lock by itself; the loop must not, see _has_run.
        self._db.conn.execute("PRAGMA busy_timeout = 0")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[_Job] = []
        self._is_busy = False
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    async def __call__(self, work: Work[T], *, long: bool = False) -> T:
        """Run ``work``; returns its result once it is on disk.

        Args:
            work: reads and writes.
            long: it may take more than a millisecond.

        Raises:
            StoreError: it could not be written, or is closed; then nothing of it was written.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Job(work, future, long))
        return await future

    def later(self, work: Work[Any]) -> None:
        """Have ``work`` run after all that was asked for before; that it fails is only logged.

        Raises:
            StoreError: it is closed.
        """
        self._put(_Job(work, None))

    async def read(self, work: Work[T]) -> T:
        """Read a few rows, which must be found by an index: all else waits while it does.

        Args:
            work: reads to the end whatever it asks for, and writes nothing.

        Raises:
            StoreError: it could not be read, or is closed.
        """
        self._refuse_closed()
        try:
            return work(self._reader)
        except sqlite3.Error as error:
            if _is_locked(error):  # rare: the log is being rebuilt; the writer has patience
                return await self(work)
            raise store_error(self._path, error) from None

    async def survey(self, work: Work[T]) -> T:
        """Read as much as it takes, in a thread: neither the loop nor writing waits for it.

        It sees all that was asked to be written before.

        Raises:
            StoreError: it could not be read, or is closed.
        """
        await self(lambda _db: None)

        def read() -> T:
            db = _open_reader(self._path)
            try:
                return work(db)
            except sqlite3.Error as error:
                raise store_error(self._path, error) from None
            finally:
                db.conn.close()

        return await asyncio.to_thread(read)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError(say(zh="数据库已经关上", en="the database is closed"), path=self._path)

    def close(self) -> None:
        """Write what is queued and close the file; may be called twice."""
        self._closed = True
        if self._thread.is_alive():
            if jobs := [job for job in self._waiting if job.is_wanted]:
                self._batches.put(_Batch(jobs))
            self._waiting = []
            self._batches.put(None)
            self._thread.join()
        self._reader.conn.close()
        self._db.conn.close()

    # --- in the loop --------------------------------------------------------------------------

    def _put(self, job: _Job) -> None:
        self._refuse_closed()
        self._waiting.append(job)
        if not self._is_busy:
            self._is_busy = True
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._begin)  # what else is asked for now comes along

    def _begin(self) -> None:
        """Run what waits, and have it committed; the connection is the thread's until then."""
        waiting = [job for job in self._waiting if job.is_wanted]
        jobs, self._waiting = waiting[:BATCH], waiting[BATCH:]
        self._is_busy = bool(jobs)
        if jobs:
            self._batches.put(_Batch(jobs, self._has_run(jobs)))

    def _has_run(self, jobs: list[_Job]) -> bool:
        """Run jobs up to their commit; whether that went well at the first try, and at once."""
        if any(job.long for job in jobs):
            return False
        try:
            self._run_all(jobs, _run_bare)
        except (sqlite3.Error, _WorkError):
            self._db.rollback()
            return False
        return True

    def _end(self, batch: _Batch) -> None:
        for job in batch.jobs:
            job.tell()
        self._begin()

    # --- in the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._batches.get():
            self._commit(batch)
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._end, batch)
            del batch  # and not held until the next one comes

    def _commit(self, batch: _Batch) -> None:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                if not batch.has_run:
                    self._try(batch.jobs)
                self._db.conn.execute("COMMIT")
                return
            except sqlite3.Error as error:
                self._db.rollback()
                batch.has_run = False
                if not _is_locked(error) or time.monotonic() > deadline:
                    told = store_error(self._path, error)
                    for job in batch.jobs:
                        job.error = told
                    return
                time.sleep(0.05)

    def _try(self, jobs: list[_Job]) -> None:
        """Run jobs in one transaction; work that fails takes back only itself.

        Savepoints are half of all statements, so they are set only once work has failed.
        """
        try:
            self._run_all(jobs, _run_bare)
        except _WorkError:
            self._db.rollback()
            self._run_all(jobs, _run_apart)

    def _run_all(self, jobs: list[_Job], run: Callable[[_Job, Database], None]) -> None:
        self._db.conn.execute("BEGIN IMMEDIATE")
        for job in jobs:
            run(job, self._db)


def _run_bare(job: _Job, db: Database) -> None:
    try:
        job.result, job.error = job.work(db), None
    except sqlite3.OperationalError:  # the disk, a lock: it would fail for all
        raise
    except Exception:
        raise _WorkError from None


def _run_apart(job: _Job, db: Database) -> None:
    db.conn.execute("SAVEPOINT job")
    try:
        job.result, job.error = job.work(db), None
    except sqlite3.OperationalError:
        raise
    except Exception as error:
        job.error = error
        db.conn.execute("ROLLBACK TO job")
    db.conn.execute("RELEASE job")


class _WorkError(Exception):
    """Work of a batch failed by its own fault."""


def open_database(path: Path) -> Database:
    """Open the file and bring its tables up to date.

    Raises:
        StoreError: it cannot be opened, or is no database of ours.
    """
    try:
        connection = sqlite3.connect(path, check_same_thread=False, timeout=5)
        db = Database(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG}")
        migrations().apply(db)
    except (sqlite3.Error, OSError) as error:
        raise store_error(path, error) from None
    return db


def _open_reader(path: Path) -> Database:
    """Open a file that is up to date once more, to read; its locks are not waited for here."""
    try:
        connection = sqlite3.connect(path, check_same_thread=False, timeout=0)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise store_error(path, error) from None
    return Database(connection)


def store_error(path: Path, error: BaseException) -> StoreError:
    """Word what SQLite says about a file."""
    reason = str(error)
    fixes = {
        "readonly": say(zh="给它写权限", en="make it and its folder writable"),
        "unable to open": say(zh="检查文件夹和权限", en="check the folder and its permissions"),
        "full": say(zh="腾出磁盘空间", en="make room on the disk"),
        "locked": say(zh="关掉占着它的程序", en="end the program that holds it"),
        "not a database": say(zh="换一个 store 路径", en="give another path for `store`"),
        "malformed": say(zh="从备份恢复", en="restore it from a backup (`renshe db backup`)"),
    }
    fix = next((fix for words, fix in fixes.items() if words in reason), "")
    return StoreError(
        say(zh=f"数据库用不了：{reason}", en=f"the database cannot be used: {reason}"),
        path=path,
        fix=fix,
        code="store",
    )


def _is_locked(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _tell(jobs: list[_Job]) -> None:
    for job in jobs:
        job.tell()
