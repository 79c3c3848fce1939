"""One bot on one database, and how others find it.

Two bots on one database would each answer every message. So a bot holds a lock beside its
database as long as it lives, however it ends, and writes there who it is: whoever asks can
tell a bot that runs from one that was killed, and never mistakes another process for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from bot.errors import BotConfigError, StoreError
from trainer.language import say

PATIENCE = 1.0
"""Seconds to wait for the lock: whoever only asks for a bot holds it for a moment."""


@dataclass(frozen=True)
class Presence:
    """A bot that runs.

    Attributes:
        pid: its process.
        since: Unix seconds since when it runs.
        settings: the ``renshe.yaml`` it was started with.
        ready: it receives messages; before that it loads its models.
        port: where ``/healthz`` and ``/metrics`` are on 127.0.0.1, if anywhere.
    """

    pid: int
    since: float
    settings: Path
    ready: bool = False
    port: int | None = None


class Occupant:
    """What a bot says of itself while it holds a database."""

    def __init__(self, record: Path, presence: Presence) -> None:
        self._record = record
        self._presence = presence
        self._write()

    def ready(self, port: int | None) -> None:
        """Say that everything is loaded."""
        self._presence = replace(self._presence, ready=True, port=port)
        self._write()

    def leave(self) -> None:
        """Say nothing any more."""
        self._record.unlink(missing_ok=True)

    def _write(self) -> None:
        making = self._record.with_name(f".{self._record.name}.{os.getpid()}")
        making.write_bytes(_PRESENCE.dump_json(self._presence))
        making.replace(self._record)


@contextmanager
def occupying(store: Path, settings: Path) -> Iterator[Occupant]:
    """Keep a database to this process while inside.

    Raises:
        BotConfigError: another bot has it.
        StoreError: nothing can be written beside it.
    """
    lock = FileLock(_beside(store, "lock"), timeout=PATIENCE, poll_interval=0.02)
    try:
        lock.acquire()
    except Timeout:
        raise _taken(store, find_bot(store)) from None
    except OSError as error:
        raise _unwritable(store, error) from None
    presence = Presence(os.getpid(), time.time(), settings.absolute())
    try:
        occupant = Occupant(_beside(store, "running"), presence)
    except OSError as error:
        lock.release()
        raise _unwritable(store, error) from None
    try:
        yield occupant
    finally:
        with suppress(OSError):  # the lock alone decides
            occupant.leave()
        lock.release()


def find_bot(store: Path) -> Presence | None:
    """Return the bot that holds a database, if one does."""
    path = _beside(store, "lock")
    if not path.is_file():
        return None
    lock = FileLock(path, blocking=False)
    with suppress(OSError, Timeout):
        lock.acquire()
        lock.release()
        return None
    try:
        return _PRESENCE.validate_json(_beside(store, "running").read_bytes())
    except (OSError, ValidationError):  # it is writing that down at this moment
        return None


def _beside(store: Path, suffix: str) -> Path:
    return store.with_name(f"{store.name}.{suffix}")


def _taken(store: Path, other: Presence | None) -> BotConfigError:
    who = f" ({other.pid})" if other else ""
    return BotConfigError(
        say(
            zh=f"已经有一个机器人在用这个数据库{who}",
            en=f"a bot is using this database already{who}",
        ),
        path=store,
        fix=say(
            zh="先停掉那一个；真要同时跑两个，给它们各写一个 store",
            en="stop that one first; to run two at once, give each its own `store`",
        ),
        code="two-bots",
    )


def _unwritable(store: Path, error: OSError) -> StoreError:
    return StoreError(
        say(
            zh=f"数据库用不了：{error.strerror}",
            en=f"the database cannot be used: {error.strerror}",
        ),
        path=store,
        fix=say(zh="检查文件夹和权限", en="check the folder and its permissions"),
        code="store",
    )


_PRESENCE = TypeAdapter(Presence)
