"""What the bot printed: its last lines, and what went wrong lately.

The log holds no word of what people said (:mod:`bot.logs`), so it may be shown as it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

TAIL = 64_000
"""Bytes of the output that are looked at, counted from its end."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f]")
_LINE = re.compile(r"(\d\d-\d\d \d\d:\d\d:\d\d) ([A-Z]+)(?: #\d+)? (.*)")
_BAD = ("WARNING", "ERROR", "CRITICAL")
_FRAMES = re.compile(r"Traceback |  |During handling|The above exception")


@dataclass(frozen=True)
class Entry:
    """A line of the log, with what belongs to it.

    Attributes:
        time: as the log has it.
        level: ``WARNING``, ``ERROR``, ...
        text: one line or several.
    """

    time: str
    level: str
    text: str


def last_lines(output: Path, most: int = 20) -> list[str]:
    """Return the last lines that were printed, oldest first; none if there is no such file."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [_CONTROL.sub("", line) for line in text.splitlines() if line.strip()][-most:]


def troubles(output: Path, most: int = 20) -> list[Entry]:
    """Return the latest warnings and errors, the youngest first."""
    entries = [entry for entry in _entries(last_lines(output, 2000)) if entry.level in _BAD]
    return entries[: -most - 1 : -1]


def _entries(lines: list[str]) -> Iterator[Entry]:
    """Join lines that belong together; of a traceback only what was raised is kept."""
    entry: Entry | None = None
    for line in lines:
        if (begun := _begun(line)) is not None:
            if entry is not None:
                yield entry
            entry = begun
        elif entry is not None and (line.startswith("  →") or not _FRAMES.match(line)):
            entry = replace(entry, text=f"{entry.text}\n{line}")
    if entry is not None:
        yield entry


def _begun(line: str) -> Entry | None:
    """Return the entry that a line begins, in either style of the log."""
    if match := _LINE.fullmatch(line):
        return Entry(*match.groups())
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
        moment = datetime.fromisoformat(found["time"]).astimezone()
        raised = str(found.get("error", "")).strip().splitlines()[-1:]
        text = "\n".join([str(found["text"]), *raised])
        return Entry(f"{moment:%m-%d %H:%M:%S}", str(found["level"]).upper(), text)
    except (ValueError, KeyError, TypeError):
        return None
