"""The bot as a process of its own: started, stopped and found again from the page.

It outlives the studio, whose Ctrl-C it does not hear. Whether it runs is asked of the lock
on its database (:mod:`bot.presence`), so a bot that somebody started in a terminal is found
as well; that one is shown, and ended where it was begun.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from bot.commands.extra import require_extra
from bot.config import BotConfig, load_bot_config, read_bot_config
from bot.errors import BotConfigError
from bot.preflight import missing_personas, missing_secrets
from bot.presence import Presence, find_bot
from bot.studio.own_process import command, environment
from bot.studio.whole_file import disk_refusal, write_whole
from bot.studio.workshop import Workshop
from trainer.errors import Fault, RensheError
from trainer.language import say

State = Literal["off", "starting", "running", "stopping", "died"]

SETTINGS_FILE = "renshe.yaml"

PATIENCE = 10.0
"""Seconds to wait for somebody who starts or stops the bot at this moment."""

DEFAULT_STORE = "renshe.db"


@dataclass(frozen=True)
class Started:
    """What the studio remembers of the bot it started.

    Attributes:
        pid: its process.
        at: when, in Unix seconds.
        store: its database.
        stopping: when it was told to stop, 0 if it was not.
    """

    pid: int
    at: float
    store: Path
    stopping: float = 0.0


@dataclass(frozen=True)
class Status:
    """How the bot is.

    Attributes:
        state: ``died`` is one that ended without being told to.
        presence: what it says of itself, once it does.
        ours: the studio started it, here or before it was restarted.
        since: Unix seconds since when it is in this state, as far as is known.
        code: how a dead one ended; None where that was not seen.
    """

    state: State
    presence: Presence | None = None
    ours: bool = False
    since: float = 0.0
    code: int | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is a process."""
        return self.state in ("starting", "running", "stopping")


class BotProcess:
    """The bot of a workshop; safe to use from any thread.

    Args:
        workshop: ``renshe.yaml`` is in its root.

    Attributes:
        settings: that file, whether it is there or not.
        output: the file with what the bot prints.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._root = workshop.root.absolute()
        self._folder = workshop.own.absolute() / "bot"
        self.settings = self._root / SETTINGS_FILE
        self.output = self._folder / "output.log"
        self.started_with = self._folder / "started.yaml"
        self._child: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()

    # --- how it is ----------------------------------------------------------------------------

    def status(self) -> Status:
        """Look how the bot is now."""
        started = self._read()
        for store in self._stores(started):
            if presence := find_bot(store):
                return _present(presence, started)
        if started is None:
            return Status("off")
        code = self._code(started)
        if code is None and self._lives():
            state: State = "stopping" if started.stopping else "starting"
            return Status(state, ours=True, since=started.stopping or started.at)
        return Status("off") if started.stopping else Status("died", ours=True, code=code)

    def store(self) -> Path:
        """Return the database that is meant now: of the bot that runs, or of ``renshe.yaml``."""
        started = self._read()
        stores = self._stores(started)
        return next((store for store in stores if find_bot(store)), stores[-1])

    # --- what is done to it -------------------------------------------------------------------

    def start(self) -> None:
        """Start it; that it could not load or connect is seen in its status a little later.

        Raises:
            RensheError: with everything that keeps it from starting, or because it runs.
        """
        require_extra()
        with self._changing():
            if self.status().is_up:
                raise _runs_already()
            config, _ = read_bot_config(self.settings)
            refuse_unstartable(config)
            child = self._spawn()
            self._child = child
            self._write(Started(child.pid, time.time(), config.store))

    def stop(self) -> None:
        """Have it receive nothing more, say what it is saying, and end.

        Raises:
            RensheError: it was not started here, or does not run.
        """
        with self._changing():
            started = self._own(self.status())
            self._write(replace(started, stopping=started.stopping or time.time()))
            self._signal(started.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once; what it did not say yet it says after the next start.

        Raises:
            RensheError: it was not told to stop before.
        """
        with self._changing():
            status = self.status()
            started = self._own(status)
            if status.state == "stopping":
                self._signal(started.pid, signal.SIGKILL)

    def reload(self) -> bool:
        """Have it read ``renshe.yaml`` anew; returns whether there is one that could be told.

        One that is still loading its models would die of the signal.
        """
        presence = self.status().presence
        if presence is None or not presence.ready or presence.settings != self.settings:
            return False
        self._signal(presence.pid, signal.SIGHUP)
        return True

    # ------------------------------------------------------------------------------------------

    def _spawn(self) -> subprocess.Popen[bytes]:
        try:
            if self.output.exists():
                self.output.replace(self.output.with_suffix(".before.log"))
            write_whole(self.started_with, self.settings.read_text("utf-8"))
            with self.output.open("wb") as out, self._life() as lock:
                self.output.chmod(0o600)
                return subprocess.Popen(
                    command("bot.cli", "run", str(self.settings), "--port", "0"),
                    cwd=self._root,
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    pass_fds=(lock,),
                    start_new_session=True,  # Ctrl-C is for the studio alone
                )
        except OSError as error:
            raise disk_refusal(self.output, error) from None

    def _stores(self, started: Started | None) -> list[Path]:
        """Return where a bot may be: where one was started, and what ``renshe.yaml`` says now."""
        stores = [started.store] if started else []
        try:
            return [*stores, load_bot_config(self.settings).store]
        except RensheError:
            return stores or [self._root / DEFAULT_STORE]

    def _own(self, status: Status) -> Started:
        if not status.is_up:
            raise _runs_not()
        started = self._read()
        if not status.ours or started is None:
            raise _not_ours(status)
        return started

    def _code(self, started: Started) -> int | None:
        """Return the exit code of a bot that this studio started, once it has one."""
        child = self._child
        return child.poll() if child is not None and child.pid == started.pid else None

    def _lives(self) -> bool:
        """Tell whether the process that was started last lives: it holds a lock it was given.

        Unlike its number, which another process may have by now, or a dead child keeps.
        """
        lock = FileLock(self._folder / "alive.lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            return True
        except OSError:
            return False
        lock.release()
        return False

    @contextmanager
    def _life(self) -> Iterator[int]:
        """Yield the handle of a lock, for a child to inherit and to hold until its end."""
        import fcntl  # not on Windows, where there are no bots either

        handle = os.open(self._folder / "alive.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it ended just now, which its status tells
            os.kill(pid, number)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Start and stop one at a time, other studios in this project included."""
        with self._guard:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = FileLock(self._folder / "process.lock", timeout=PATIENCE)
                lock.acquire()
            except Timeout:
                raise _busy() from None
            except OSError as error:
                raise disk_refusal(self._folder, error) from None
            try:
                yield
            finally:
                lock.release()

    def _read(self) -> Started | None:
        try:
            return _STARTED.validate_json(self._record.read_bytes())
        except (OSError, ValidationError):
            return None

    def _write(self, started: Started) -> None:
        write_whole(self._record, _STARTED.dump_json(started).decode())

    @property
    def _record(self) -> Path:
        return self._folder / "process.json"


def refuse_unstartable(config: BotConfig) -> None:
    """Refuse settings with which a bot would end at once.

    Raises:
        BotConfigError: with everything that is missing.
    """
    faults = [*missing_personas(config), *missing_secrets(config)]
    if all(platform == "console" for platform, _ in config.adapters.each()):
        faults.append(
            Fault(
                say(
                    zh="只接了终端（console），从网页启动的机器人没有终端",
                    en="only a terminal (console) is connected, and a bot of this page has none",
                ),
                fix=say(zh="先接上 QQ 或 Telegram", en="connect QQ or Telegram first"),
                code="only-console",
            )
        )
    if faults:
        raise BotConfigError(faults=tuple(faults))


def _present(presence: Presence, started: Started | None) -> Status:
    """Return the status of a bot that holds its database."""
    if started is None or started.pid != presence.pid:
        return Status("running" if presence.ready else "starting", presence, since=presence.since)
    if started.stopping:
        return Status("stopping", presence, ours=True, since=started.stopping)
    state: State = "running" if presence.ready else "starting"
    return Status(state, presence, ours=True, since=presence.since)


def _runs_already() -> RensheError:
    return RensheError(
        say(zh="机器人已经在运行", en="the bot runs already"),
        fix=say(zh="要重来的话，先停下它", en="stop it first to start it anew"),
        code="bot-runs",
    )


def _runs_not() -> RensheError:
    return RensheError(say(zh="机器人没有在运行", en="the bot does not run"), code="bot-off")


def _not_ours(status: Status) -> RensheError:
    pid = status.presence.pid if status.presence else 0
    return RensheError(
        say(
            zh=f"这个机器人不是在工作室里启动的（进程 {pid}），不在这里停它",
            en=f"this bot was not started in the studio (process {pid}): it is not stopped here",
        ),
        fix=say(
            zh="在启动它的终端里按 Ctrl-C；用 systemd 的话 systemctl stop renshe",
            en="press Ctrl-C in the terminal it was started in; or systemctl stop renshe",
        ),
        code="bot-foreign",
    )


def _busy() -> RensheError:
    return RensheError(
        say(zh="有人正在启动或停下它", en="somebody is starting or stopping it"),
        fix=say(zh="等一会儿再试", en="wait a moment"),
        code="bot-busy",
    )


_STARTED = TypeAdapter(Started)
