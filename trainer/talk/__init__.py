"""Talk that was written for this project: general talk, broken characters, wordings.

A persona is trained and measured among talk that has nothing to do with it. What stands
before a question in training must not stand there in testing, so each bank has two
parts, and a test proves that they share no question, not even nearly.

The wordings are things people say to any character, each in many ways: what an author
wrote three ways of asking is trained in all of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Literal, NamedTuple

from trainer.chat import Message

Language = Literal["zh", "en"]
Bank = Literal["train", "test"]

Exchange = tuple[str, str]
"""What the user says and what a neutral assistant answers."""


class Intent(NamedTuple):
    """One thing that is said to any character.

    Attributes:
        name: a short name, for reports.
        kind: ``identity``, ``probe`` (is it some company's model, drop the role),
            ``profile`` (tastes, days, dreams) or ``chat`` (greetings, comfort, jokes).
        wordings: ways of saying it.
    """

    name: str
    kind: Literal["identity", "probe", "profile", "chat"]
    wordings: tuple[str, ...]


@cache
def scraps(language: Language, bank: Bank) -> tuple[tuple[Exchange, ...], ...]:
    """Return short conversations of two to four exchanges, each on one thing."""
    return tuple(_exchanges(scrap) for scrap in _read(f"{language}_{bank}.json"))


@cache
def leaked(language: Language, bank: Bank) -> tuple[Exchange, ...]:
    """Return exchanges in which the assistant says that it is somebody's language model."""
    return tuple(
        pair for scrap in _read(f"{language}_leaked.json")[bank] for pair in _exchanges(scrap)
    )


@cache
def intents(language: Language) -> tuple[Intent, ...]:
    """Return what people say to any character, in many wordings each."""
    return tuple(
        Intent(row["intent"], row["kind"], tuple(row["wordings"]))
        for row in _read(f"{language}_wordings.json")
    )


def running_talk(language: Language, bank: Bank, rounds: int, seed: str) -> tuple[Message, ...]:
    """Return ``rounds`` rounds of scraps in an order drawn by ``seed``; none is to be learnt.

    Raises:
        ValueError: more rounds are asked for than were written.
    """
    order = list(scraps(language, bank))
    Random(seed).shuffle(order)
    exchanges = [exchange for scrap in order for exchange in scrap]
    if rounds > len(exchanges):
        raise ValueError(f"{rounds} rounds are asked for, {len(exchanges)} were written")
    return messages(exchanges[:rounds])


def messages(exchanges: Sequence[Exchange]) -> tuple[Message, ...]:
    """Return exchanges as a history that carries no loss."""
    return tuple(
        message
        for user, bot in exchanges
        for message in (Message("user", user), Message("assistant", bot, learn=False))
    )


def _read(name: str) -> Any:
    return json.loads(files(__package__).joinpath(name).read_text("utf-8"))


def _exchanges(scrap: list[list[str]]) -> tuple[Exchange, ...]:
    return tuple((user, bot) for user, bot in scrap)
