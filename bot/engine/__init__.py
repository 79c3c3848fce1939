"""What answers: one small protocol, so that pages and bots do not know what model is behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from trainer.chat import Message
from trainer.persona import Persona

ALL_ROUNDS = sys.maxsize
"""As many as there are: :attr:`Engine.rounds` of what cuts a history by its words."""

_wanted: ContextVar[Callable[[], bool]] = ContextVar("wanted", default=lambda: True)


def is_wanted() -> bool:
    """Tell an engine, in the thread that asked it, whether its reply is waited for still."""
    return _wanted.get()()


@contextmanager
def wanted_while(condition: Callable[[], bool]) -> Iterator[None]:
    """Let :func:`is_wanted` tell ``condition`` inside."""
    before = _wanted.set(condition)
    try:
        yield
    finally:
        _wanted.reset(before)


class Engine(Protocol):
    """Answers conversations in the voice of one persona; may be called from several threads.

    One that has its answer at once may say ``blocks = False``, and is spared a thread.
    """

    @property
    def persona(self) -> Persona:
        """Who answers."""

    @property
    def rounds(self) -> int:
        """Rounds before the last message that it can make use of; more need not be read."""

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        """Answer the last message; yields the reply so far each time it has changed.

        Mostly it has grown. Where a guard threw a reply away it begins anew, and may be empty
        in the end. The last one is the reply.

        Closing the iterator ends the reply. One that waits between two steps asks
        :func:`is_wanted` meanwhile. Whatever of a long history the model cannot see is left
        out here, never by the caller.

        Args:
            messages: user and assistant in turn, the user first and last.
        """

    def stop(self) -> None:
        """End every reply at its next word, for good; a new one stays empty."""
