"""The queue on disk: which jobs there are, and what each left behind.

A job outlives the studio, so nothing about it is only in memory. One file holds them all,
replaced as a whole under a lock, since two studios and the job itself write it. Beside it
lie each job's output, how it ended, and a lock that it holds as long as it lives: whether
a job lives is asked of that lock, never of a number that another process may have by now.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from trainer.checkpoint import disk_errors
from trainer.errors import RensheError
from trainer.language import say

Kind = Literal["train", "eval"]
State = Literal["waiting", "running", "done", "failed", "stopped"]

PATIENCE = 30.0
"""Seconds that the queue's file may be held by others, who need milliseconds."""

OUTPUT = 32_000
"""Bytes of a job's output that are shown, counted from its end."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True)
class Job:
    """A command of ``renshe`` that was, is or will be run.

    Attributes:
        id: unique.
        kind: ``train`` or ``eval``.
        run: id of the run that it is about.
        arguments: what follows ``renshe``; paths in it are relative to the project folder.
        state: how far it is.
        reason: of a failed one what it said at last: the problem and its fix.
        added: when it was queued; this and the next are seconds since the epoch.
        began: when it was started, 0 before that.
        ended: when it was over, 0 before that.
        stopping: when it was told to stop, 0 if it was not.
        pid: of its process, 0 before that has said so.
    """

    id: str
    kind: Kind
    run: str
    arguments: tuple[str, ...]
    state: State = "waiting"
    reason: str = ""
    added: float = 0.0
    began: float = 0.0
    ended: float = 0.0
    stopping: float = 0.0
    pid: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it is yet to end."""
        return self.state in ("waiting", "running")


@dataclass(frozen=True)
class End:
    """How a job ended, in its own words.

    Attributes:
        code: its exit code.
        reason: the problem and its fix, if it failed.
    """

    code: int
    reason: str = ""


class JobFile:
    """The folder of a queue.

    Args:
        folder: made when the first job comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> list[Job]:
        """Return every job, oldest first.

        Raises:
            RensheError: the file is damaged.
        """
        try:
            return _JOBS.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise _damaged(self._path, error) from error

    @contextmanager
    def changing(self) -> Iterator[list[Job]]:
        """Hand out the jobs to be changed; others wait, and what was changed is written.

        Raises:
            RensheError: the file is damaged or cannot be written, or somebody keeps it.
        """
        with disk_errors(self._path):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "queue.lock", timeout=PATIENCE)
        try:
            lock.acquire()
        except Timeout:
            raise _kept(self._path) from None
        try:
            jobs = self.read()
            before = list(jobs)
            yield jobs
            if jobs != before:
                self._write(jobs)
        finally:
            lock.release()

    def _write(self, jobs: list[Job]) -> None:
        making = self._path.with_suffix(".making")
        with disk_errors(self._path):
            making.write_bytes(_JOBS.dump_json(jobs, indent=1))
            with making.open("rb") as file:
                os.fsync(file.fileno())
            making.replace(self._path)

    # --- of one job ----------------------------------------------------------------------

    def lock(self, job: str) -> FileLock:
        """Return the lock that a job holds while it lives."""
        return FileLock(self.folder / f"{job}.lock")

    def lives(self, job: str) -> bool:
        """Tell whether a job's process holds its lock."""
        lock = self.lock(job)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    def output_path(self, job: str) -> Path:
        """Return where a job's output goes."""
        return self.folder / f"{job}.log"

    def output(self, job: str) -> str:
        """Return the end of a job's output, without a terminal's control characters."""
        try:
            with self.output_path(job).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - OUTPUT))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        if size > OUTPUT:
            text = text.partition("\n")[2]
        return _CONTROL.sub("", text.replace("\r\n", "\n"))

    def end(self, job: str) -> End | None:
        """Return how a job ended; none if it did not say, or not yet."""
        try:
            return End(**json.loads(self._end_path(job).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write_end(self, job: str, end: End) -> None:
        """Note how a job ended."""
        path = self._end_path(job)
        making = path.with_suffix(".making")
        making.write_text(json.dumps(vars(end), ensure_ascii=False), encoding="utf-8")
        making.replace(path)

    def forget(self, job: str) -> None:
        """Remove what a job left behind."""
        for path in (self.output_path(job), self._end_path(job), self.folder / f"{job}.lock"):
            path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / "queue.json"

    def _end_path(self, job: str) -> Path:
        return self.folder / f"{job}.json"


_JOBS = TypeAdapter(list[Job])


def _damaged(path: Path, error: Exception) -> RensheError:
    return RensheError(
        say(
            zh=f"任务列表读不了：{str(error).splitlines()[0]}",
            en=f"the list of jobs cannot be read: {str(error).splitlines()[0]}",
        ),
        path=path,
        fix=say(
            zh="把这个文件移走就从空列表开始；训练好的东西都在 runs/ 里，不受影响",
            en="move this file away to begin with an empty list; what was trained is in runs/",
        ),
        code="queue-damaged",
    )


def _kept(path: Path) -> RensheError:
    return RensheError(
        say(zh="任务列表一直被别的程序占着", en="another program keeps the list of jobs"),
        path=path,
        fix=say(zh="关掉卡住的那个工作室，再试一次", en="end the studio that hangs, and try again"),
        code="queue-kept",
    )
