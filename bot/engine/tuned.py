"""A tuned checkpoint on this machine as an engine.

A model serves one step at a time: two at once would each take more than twice as long.
So the lock is held for a step and not for a whole reply. Visitors take turns word by
word and both see their reply grow, and a reply that nobody reads to its end (a closed
browser tab) holds nothing. The guard stands outside the lock: what it holds back costs the
others no more than what it passes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from bot.engine import ALL_ROUNDS
from trainer.chat import Message
from trainer.guard import Counts, Draw, Guard, unguarded
from trainer.model import Base, Tuned, load_tuned
from trainer.persona import Persona
from trainer.sampling import Sampling

Report = Callable[[str, float], None]


class TunedEngine:
    """Answers from a run's last checkpoint; an :class:`bot.engine.Engine`.

    Args:
        tuned: the base with its prefix.
        sampling: how words are chosen; greedy by default. Each reply draws anew, so that
            the same question asked again may be answered differently.
    """

    def __init__(self, tuned: Tuned, sampling: Sampling | None = None) -> None:
        self._tuned = tuned
        self._sampling = sampling or Sampling()
        self._draws = count(self._sampling.seed)
        self._turn = threading.Lock()
        self._stopped = threading.Event()
        draw = step_by_step(unguarded(tuned), self._turn, self._stopped)
        self._guard = Guard(tuned.card.persona, draw)

    @property
    def persona(self) -> Persona:
        """The persona as it was trained."""
        return self._tuned.card.persona

    @property
    def base(self) -> Base:
        """The base that answers."""
        return self._tuned.base

    @property
    def counts(self) -> Counts:
        """What the guard did so far."""
        return self._guard.counts

    @property
    def rounds(self) -> int:
        return ALL_ROUNDS

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        """See :meth:`bot.engine.Engine.stream`."""
        with self._turn:
            sampling = replace(self._sampling, seed=next(self._draws))
        for reply in self._guard.stream(messages, sampling):
            if self._stopped.is_set():
                return
            yield reply

    def stop(self) -> None:
        """See :meth:`bot.engine.Engine.stop`."""
        self._stopped.set()


def step_by_step(draw: Draw, turn: threading.Lock, stopped: threading.Event) -> Draw:
    """Return ``draw`` so that it holds ``turn`` for a step at a time and ends once ``stopped``."""

    def stepping(messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        with turn:
            replies = draw(messages, sampling)
        while not stopped.is_set():
            with turn:
                reply = next(replies, None)
            if reply is None:
                return
            yield reply

    return stepping


def load_engine(
    run: Path, *, sampling: Sampling | None = None, report: Report = lambda _stage, _done: None
) -> TunedEngine:
    """Load a run's last checkpoint.

    Raises:
        CheckpointError: there is none, it is damaged, or the base is another one now.
        BaseModelError: the base is missing or damaged.
    """
    return TunedEngine(load_tuned(run, report=report), sampling)
