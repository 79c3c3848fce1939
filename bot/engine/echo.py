"""An engine without a model: says what it is told, to try connections and to test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trainer.chat import Message
from trainer.persona import Persona


class EchoEngine:
    """Repeats the last message; an :class:`bot.engine.Engine`."""

    blocks = False

    def __init__(self, persona: Persona) -> None:
        self._persona = persona

    @property
    def persona(self) -> Persona:
        return self._persona

    @property
    def rounds(self) -> int:
        return 0

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        yield messages[-1].text

    def stop(self) -> None:
        """Nothing is under way."""
