"""What a run's own files tell of it: its losses, its speed, and when it will be done.

The training writes ``log.jsonl`` and knows nothing of who reads it; so a run that was begun
in a terminal, or by a studio that is gone, is shown like any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOG_FILE = "log.jsonl"

RECENT = 20
"""Lines that the present speed is taken from."""

LARGEST = 8 << 20
"""Bytes of a log that are read, from its end."""


@dataclass(frozen=True)
class Point:
    """A line of the log; see :class:`trainer.train.Progress`."""

    step: int
    steps: int
    loss: float
    dev_loss: float | None
    retention: float | None
    tokens: int
    seconds: float


@dataclass(frozen=True)
class RunLog:
    """The log of a run.

    Attributes:
        points: by step; of a step that was done again, after a resumption, the last.
        speed: tokens a second of late, if that can be told.
        left: seconds until it is done at that speed, if that can be told.
        average: tokens a second over all of the last session, checks included.
    """

    points: Sequence[Point] = ()
    speed: float | None = None
    left: float | None = None
    average: float | None = None

    @property
    def last(self) -> Point | None:
        """The newest line."""
        return self.points[-1] if self.points else None

    def latest(self, name: str) -> float | None:
        """Return the newest ``dev_loss`` or ``retention``."""
        values = [getattr(point, name) for point in self.points]
        return next((value for value in reversed(values) if value is not None), None)


def read_log(run: Path) -> RunLog:
    """Read the log of a run folder; empty if there is none. Damaged lines are left out."""
    lines = [point for line in _lines(run / LOG_FILE) if (point := _point(line))]
    session = _session(lines)
    points: list[Point] = []
    for point in lines:
        while points and points[-1].step >= point.step:
            points.pop()
        points.append(point)
    speed, left = _pace(session)
    return RunLog(points, speed, left, _average(session))


def _lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LARGEST))
            return file.read().splitlines()
    except OSError:
        return []


def _point(line: bytes) -> Point | None:
    try:
        point = Point(**json.loads(line))
        numbers = (point.loss, point.seconds, point.dev_loss or 0.0, point.retention or 0.0)
        sound = all(math.isfinite(number) for number in numbers) and point.step <= point.steps
    except (ValueError, TypeError):
        return None
    return point if sound else None


def _session(lines: Sequence[Point]) -> list[Point]:
    """Return the lines since the run, or its last resumption, began: its clock starts anew."""
    for index in range(len(lines) - 1, 0, -1):
        if lines[index].seconds < lines[index - 1].seconds:
            return list(lines[index:])
    return list(lines)


def _pace(session: Sequence[Point]) -> tuple[float | None, float | None]:
    if len(session) < 2:
        return None, None
    first, last = session[-min(len(session), RECENT)], session[-1]
    seconds, steps = last.seconds - first.seconds, last.step - first.step
    if seconds <= 0 or steps <= 0:
        return None, None
    return (last.tokens - first.tokens) / seconds, (last.steps - last.step) * seconds / steps


def _average(session: Sequence[Point]) -> float | None:
    """Return the speed that another run may be planned with; none of a few steps only."""
    if len(session) < 3:
        return None
    first, last = session[0], session[-1]
    seconds = last.seconds - first.seconds
    return (last.tokens - first.tokens) / seconds if seconds > 1 else None
