"""What was trained on must not be measured with: texts that stand on both sides.

A distractor or a question that the model saw in training tells nothing about talk that it
has not seen. So texts are compared by what they say (:func:`trainer.wording.canonical`),
equal and nearly equal, what users say with what users say, and replies with replies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trainer.chat import Message
from trainer.errors import DatasetError
from trainer.language import say
from trainer.near import near_pairs
from trainer.talk import Bank, Language, intents, leaked, messages, scraps
from trainer.wording import canonical

SHOWN = 5
"""Texts that an error quotes."""


class Twin(NamedTuple):
    """Two texts that say the same, or nearly.

    Attributes:
        text: on the side that must be new.
        other: on the other side.
        exact: their canonical texts are equal; otherwise they are near duplicates.
    """

    text: str
    other: str
    exact: bool


def twins(ours: Iterable[Message], theirs: Iterable[Message]) -> list[Twin]:
    """Return each text of ``ours`` that ``theirs`` also holds, once, with what it is like."""
    ours, theirs = tuple(ours), tuple(theirs)
    return [
        twin
        for role in ("user", "assistant")
        for twin in _twins(
            [message.text for message in ours if message.role == role],
            [message.text for message in theirs if message.role == role],
        )
    ]


def overlap(language: Language) -> list[Twin]:
    """Return what the test bank shares with what is shipped for training: none, if all is well."""
    taught = [Message("user", wording) for intent in intents(language) for wording in intent[2]]
    return twins(bank_talk(language, "test"), [*bank_talk(language, "train"), *taught])


def bank_talk(language: Language, bank: Bank) -> tuple[Message, ...]:
    """Return all that is said in a bank, broken characters included."""
    exchanges = [exchange for scrap in scraps(language, bank) for exchange in scrap]
    return messages([*exchanges, *leaked(language, bank)])


def refuse_twins(found: Sequence[Twin], problem: str, fix: str) -> None:
    """Refuse texts that stand on both sides.

    Args:
        found: those texts.
        problem: where they stand, as the head of the message.
        fix: what to do about it.

    Raises:
        DatasetError: if there are any.
    """
    if not found:
        return
    quoted = "; ".join(
        repr(twin.text) if twin.exact else f"{twin.text!r} ~ {twin.other!r}"
        for twin in found[:SHOWN]
    )
    more = f" … ({len(found)})" if len(found) > SHOWN else ""
    colon = say(zh="：", en=": ")
    raise DatasetError(f"{problem}{colon}{quoted}{more}", fix=fix, code="overlap")


def _twins(ours: Sequence[str], theirs: Sequence[str]) -> list[Twin]:
    wanted, known = _by_meaning(ours), _by_meaning(theirs)
    found = {key: known[key] for key in wanted if key in known}
    exact = set(found)
    texts = list(dict.fromkeys([*wanted, *known]))
    for one, other in near_pairs(texts):
        for mine, its in ((texts[one], texts[other]), (texts[other], texts[one])):
            if mine in wanted and its in known:
                found.setdefault(mine, known[its])
    return [Twin(wanted[key], found[key], key in exact) for key in wanted if key in found]


def _by_meaning(texts: Sequence[str]) -> dict[str, str]:
    """Return the texts by what they say; one of punctuation alone stands for itself."""
    return {canonical(text) or text: text for text in texts}
