"""Trainings and evaluations, one at a time, each a process of its own.

A model takes all of a machine, so a second job waits for the first. A job outlives the
page that started it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bot.studio.workshop import Workshop

Kind = Literal["train", "eval"]
State = Literal["waiting", "running", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Job:
    """A command of ``renshe`` that was, is or will be run.

    Attributes:
        id: unique.
        kind: ``train`` or ``eval``.
        run: id of the run that it is about.
        arguments: what follows ``renshe``.
        state: how far it is.
        reason: of a failed one what it said at last: the problem and its fix.
    """

    id: str
    kind: Kind
    run: str
    arguments: tuple[str, ...]
    state: State = "waiting"
    reason: str = ""


class Jobs:
    """The queue of a workshop."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def add(self, kind: Kind, run: str, arguments: Sequence[str]) -> Job:
        """Put a job at the end of the queue."""
        raise NotImplementedError

    def all(self) -> list[Job]:
        """Return every job of this workshop, oldest first."""
        return []

    def output(self, job: str) -> str:
        """Return the last lines that a job printed."""
        raise NotImplementedError

    def stop(self, job: str) -> None:
        """Take a job out of the queue, or end it cleanly (a training saves first)."""
        raise NotImplementedError

    def close(self) -> None:
        """Start nothing more; what runs goes on."""
