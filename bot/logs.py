"""The log: a line an event, each with the number of the message it is about.

That number is the row of the inbox, so a line of the log, a row of the database and a line
of ``renshe db export`` can be laid side by side. What people said is never logged.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from trainer.errors import RensheError

_message: ContextVar[int | None] = ContextVar("message", default=None)


@contextmanager
def correlated(message: int) -> Iterator[None]:
    """Mark every line that is logged inside, in this task, as about a message."""
    before = _message.set(message)
    try:
        yield
    finally:
        _message.reset(before)


def set_up_logging(style: Literal["text", "json"]) -> None:
    """Log to standard error, for people or for programs."""
    # What no line shows need not be found out for each ("Optimization" in Python's HOWTO).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("aiogram").setLevel(logging.WARNING)


def worded(error: BaseException) -> str:
    """Word an error for the log: ours have no words of people's, others' may have."""
    return str(error) if isinstance(error, RensheError) else type(error).__name__


def places(error: BaseException) -> str:
    """Return where an error was raised, a line of code each, without its words."""
    raised = error.__cause__ or error if isinstance(error, TimeoutError) else error
    return "".join(traceback.format_tb(raised.__traceback__)).rstrip()


class Lines(logging.Formatter):
    """For people: time, level, message number, text."""

    def format(self, record: logging.LogRecord) -> str:
        number = _message.get()
        about = f" #{number}" if number is not None else ""
        head = f"{self.formatTime(record, '%m-%d %H:%M:%S')} {record.levelname}{about}"
        text = f"{head} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonLines(logging.Formatter):
    """For programs: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        if (number := _message.get()) is not None:
            line["message"] = number
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
