"""What retention is asked, and after what talk.

Probes are forked off one running dialogue: all of them are asked after the very same
history, so that none pollutes the next and the history is read once. There are two
dialogues, each for half of the facts. That shows that a figure does not hang on one
choice of small talk, and it lets a persona's own talk stand before its questions without
ever telling the fact that is asked: the pairs of one half precede questions about the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from trainer.chat import Message
from trainer.language import say
from trainer.persona import Persona
from trainer.talk import Exchange, leaked, messages, running_talk, scraps
from trainer.wording import canonical

History = Literal["neutral", "in_persona", "leaked", "long"]
"""What stands before a question.

``neutral``: general talk of the test bank. ``in_persona``: pairs that the persona was
taught, about other facts. ``leaked``: general talk in which every other round, the first
among them, is a broken character of the test bank. ``long``: as ``neutral``, until it has
so many tokens.
"""

HALVES = (0, 1)
"""The two dialogues."""


def history_name(history: History) -> str:
    """Name a history for people."""
    match history:  # one at a time: a report names histories thousands of times
        case "neutral":
            return say(zh="闲聊", en="small talk")
        case "long":
            return say(zh="长闲聊", en="long talk")
        case "in_persona":
            return say(zh="自己的话", en="own talk")
        case "leaked":
            return say(zh="露馅的话", en="leaked talk")


@dataclass(frozen=True)
class Probe:
    """A question about a fact.

    Attributes:
        fact: the fact's id.
        question: the wording.
        written: the answer that the author paired with it.
        taught: the wording was trained on; otherwise it was kept for dev.
        half: which dialogue it is forked off.
    """

    fact: str
    question: str
    written: str
    taught: bool
    half: int

    def after(self, history: Sequence[Message]) -> tuple[Message, ...]:
        """Return ``history`` and then the question."""
        return (*history, Message("user", self.question))


def choose_probes(
    persona: Persona, dev_wordings: Mapping[str, Sequence[str]], limit: int
) -> tuple[Probe, ...]:
    """Return the probes, in the persona's order.

    Args:
        persona: whose facts are asked.
        dev_wordings: for each fact the wordings that training never saw.
        limit: so many taught and so many held-out wordings at most, drawn by lot, each
            fact once before any twice; 0 takes all.
    """
    held = {(fact, wording) for fact, asked in dev_wordings.items() for wording in asked}
    probes = [
        Probe(fact.id, wording, answer, (fact.id, wording) not in held, half_of(fact.id))
        for fact, wording, answer in persona.pairs()
    ]
    kept = {
        probe
        for taught in (False, True)
        for probe in _some([probe for probe in probes if probe.taught is taught], limit)
    }
    return tuple(probe for probe in probes if probe in kept)


class Dialogues:
    """The running dialogues before the questions.

    Args:
        persona: whose talk it may be.
        dev_wordings: its wordings that must not be shown.
        unfit: what must not be said in a history, canonical texts.
    """

    def __init__(
        self,
        persona: Persona,
        dev_wordings: Mapping[str, Sequence[str]],
        unfit: Collection[str] = (),
    ) -> None:
        taught = [p for p in choose_probes(persona, dev_wordings, 0) if p.taught]
        self._rounds: dict[tuple[History, int], list[Exchange]] = {}
        for half in HALVES:
            neutral = _neutral(persona, half, unfit)
            others = _spread([probe for probe in taught if probe.half != half], f"persona/{half}")
            self._rounds["neutral", half] = self._rounds["long", half] = neutral
            self._rounds["in_persona", half] = [(p.question, p.written) for p in others]
            self._rounds["leaked", half] = _broken(persona, half, neutral, unfit)

    def longest(self, history: History) -> int:
        """Return how many rounds there are, whichever dialogue is asked after."""
        return min(len(self._rounds[history, half]) for half in HALVES)

    def before(self, history: History, depth: int, half: int) -> tuple[Message, ...]:
        """Return the first ``depth`` rounds of a dialogue; none of them is to be learnt."""
        return messages(self._rounds[history, half][:depth])


def half_of(fact: str) -> int:
    """Draw a fact's dialogue by its name alone: another fact in the file moves none."""
    return Random(f"half/{fact}").choice(HALVES)


def _neutral(persona: Persona, half: int, unfit: Collection[str]) -> list[Exchange]:
    rounds = sum(map(len, scraps(persona.language, "test")))
    talk = running_talk(persona.language, "test", rounds, f"{half}")
    pairs = [(user.text, bot.text) for user, bot in zip(talk[::2], talk[1::2], strict=True)]
    return [pair for pair in pairs if _fit(pair, unfit)]


def _broken(
    persona: Persona, half: int, neutral: Sequence[Exchange], unfit: Collection[str]
) -> list[Exchange]:
    """Return talk in which every other round is a broken character, beginning with one."""
    pairs = [pair for pair in leaked(persona.language, "test") if _fit(pair, unfit)]
    Random(f"leaked/{half}").shuffle(pairs)
    # As many of each as there are of the fewer.
    return [pair for both in zip(pairs, neutral, strict=False) for pair in both]


def _fit(pair: Exchange, unfit: Collection[str]) -> bool:
    """Tell whether neither text of an exchange is unfit."""
    return not any(canonical(text) in unfit for text in pair)


def _some(probes: Sequence[Probe], limit: int) -> Sequence[Probe]:
    return _spread(probes, "probes")[:limit] if 0 < limit < len(probes) else probes


def _spread(probes: Sequence[Probe], seed: str) -> list[Probe]:
    """Order ``probes`` by lot, each fact once before any twice.

    A lot is drawn by what is asked, so that an edit elsewhere in the persona moves none.
    """

    def lot(probe: Probe) -> float:
        return Random(f"{seed}/{probe.fact}/{probe.question}").random()

    seen: Counter[str] = Counter()
    turns = []
    for probe in sorted(probes, key=lot):
        turns.append((seen[probe.fact], lot(probe), probe))
        seen[probe.fact] += 1
    return [probe for *_, probe in sorted(turns, key=lambda turn: turn[:2])]
