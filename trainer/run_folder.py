"""A run has its folder to itself, and ends cleanly when it is told to.

Two trainings in one folder would overwrite each other's checkpoints, and a signal in the
middle of a save would lose the last one: both are settled here, before the first step.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from trainer.checkpoint import RUN_FILE, disk_errors
from trainer.errors import TrainingError
from trainer.language import say


def refuse_existing(folder: Path) -> None:
    """Refuse a folder that holds a run.

    Raises:
        TrainingError: if it does.
    """
    if (folder / RUN_FILE).exists():
        raise TrainingError(
            say(zh="这里已经有一次训练", en="there is a run in this folder already"),
            path=folder,
            fix=say(
                zh="用 --resume 继续它，或换一个 --out",
                en="go on with --resume, or give another --out",
            ),
            code="run-exists",
        )


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Refuse to train into a folder that another process trains into.

    Raises:
        TrainingError: if one does.
    """
    lock = FileLock(folder / ".lock")
    with disk_errors(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise TrainingError(
                say(zh="另一个训练正在写这个文件夹", en="another training writes into this folder"),
                path=folder,
                fix=say(zh="等它结束，或换一个 --out", en="wait for it, or give another --out"),
                code="run-busy",
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that a run can save before it ends.

    A second signal is not caught: whoever presses Ctrl-C twice means it.
    """
    caught: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        signal.signal(
            number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler
        )

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs us there stops us otherwise
        yield caught
        return
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
