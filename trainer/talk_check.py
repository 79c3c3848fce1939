"""What was trained on must not be measured with: texts that stand on both sides.

A distractor or a question that the model saw in training tells nothing about talk that it
has not seen. So texts are compared by what they say (:func:`trainer.wording.canonical`),
equal and nearly equal, what users say with what users say, and replies with replies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from trainer.chat import Message
from trainer.errors import DatasetError
from trainer.example import Example
from trainer.language import say
from trainer.near import near_pairs
from trainer.persona import Persona
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
    taught = [
        Message("user", wording) for intent in intents(language) for wording in intent.wordings
    ]
    return twins(bank_talk(language, "test"), [*bank_talk(language, "train"), *taught])


def bank_talk(language: Language, bank: Bank) -> tuple[Message, ...]:
    """Return all that is said in a bank, broken characters included."""
    exchanges = [exchange for scrap in scraps(language, bank) for exchange in scrap]
    return messages([*exchanges, *leaked(language, bank)])


def unfit_talk(
    persona: Persona, train: Iterable[Example], dev_wordings: Mapping[str, Sequence[str]]
) -> frozenset[str]:
    """Return what the test bank and the persona's author happen to say both, canonical.

    An author may well have written a question that stands in the bank too. Such talk must
    be left out of a history; what else of it was trained on is a fault.

    Args:
        persona: the author's file.
        train: what was trained on.
        dev_wordings: for each fact the wordings that training must not have seen.

    Raises:
        DatasetError: the test bank overlaps the training bank, or ``train`` holds a dev
            wording or talk of the test bank.
    """
    _refuse(
        overlap(persona.language),
        say(zh="测试用的闲聊和训练用的有重复", en="the test talk and the training talk overlap"),
        say(zh="从 trainer/talk 的其中一边删掉", en="delete it from one side, in trainer/talk"),
    )
    rows = [message for example in train for message in example.messages]
    again = say(zh="重新训练", en="train again")
    asked = [Message("user", text) for wordings in dev_wordings.values() for text in wordings]
    _refuse(twins(asked, rows), say(zh="训练见过 dev 的问题", en="trained on dev questions"), again)
    bank = bank_talk(persona.language, "test")
    unfit = shared_talk(persona)
    found = [twin for twin in twins(bank, rows) if canonical(twin.text) not in unfit]
    _refuse(found, say(zh="训练见过测试用的闲聊", en="trained on the test talk"), again)
    return unfit


def shared_talk(persona: Persona) -> frozenset[str]:
    """Return what the test bank and the persona's author both say, canonical, unchecked."""
    bank = bank_talk(persona.language, "test")
    return frozenset(canonical(twin.text) for twin in twins(bank, _authored(persona)))


def talk_digest(language: Language) -> str:
    """Return the SHA-256 (64 hex digits) of all that is said in the test bank."""
    talk = [(message.role, message.text) for message in bank_talk(language, "test")]
    return hashlib.sha256(json.dumps(talk).encode()).hexdigest()


def _authored(persona: Persona) -> Iterator[Message]:
    """Yield all that the author wrote for either side to say."""
    for fact in persona.facts:
        yield from (Message("user", text) for text in fact.ask)
        yield from (Message("assistant", text) for text in fact.answer)
    for turn in chain.from_iterable(persona.dialogues):
        yield Message("user" if turn.speaker == "user" else "assistant", turn.text)


def _refuse(found: Sequence[Twin], problem: str, fix: str) -> None:
    """Refuse texts that stand on both sides, quoting them.

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
