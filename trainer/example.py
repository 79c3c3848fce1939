"""One training example: a conversation whose last answer is to be learnt.

Compiling, reading and encoding all speak of the same thing, so it stands here once,
apart from where it comes from (:mod:`trainer.dataset`, :mod:`trainer.dataset_formats`).
"""

from __future__ import annotations

from dataclasses import dataclass

from trainer.chat import Message


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation that ends with the answer to learn.

    Attributes:
        messages: user and assistant in turn; first the user, last the assistant.
        kind: ``pair`` (one question of a fact) or ``dialogue``; more kinds may come.
        fact: id of the persona's fact that it teaches, if it teaches one.

    Raises:
        ValueError: the messages do not take turns as said.
    """

    messages: tuple[Message, ...]
    kind: str
    fact: str | None

    def __post_init__(self) -> None:
        roles = [message.role for message in self.messages]
        if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
            raise ValueError(f"user and assistant must take turns, assistant last: {roles}")

    @property
    def prompt(self) -> str:
        """The last question: the official ``prompt`` column."""
        return self.messages[-2].text

    @property
    def completion(self) -> str:
        """The last answer: the official ``response`` column."""
        return self.messages[-1].text

    @property
    def history(self) -> list[list[str]]:
        """The rounds before the last as [user, bot]: the official ``history`` column."""
        earlier = self.messages[:-2]
        return [
            [user.text, bot.text] for user, bot in zip(earlier[::2], earlier[1::2], strict=True)
        ]

    @property
    def questions(self) -> tuple[str, ...]:
        """What the user says, round by round."""
        return tuple(message.text for message in self.messages[::2])
