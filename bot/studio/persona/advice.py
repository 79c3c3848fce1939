"""What a writer could write next: questions nobody answers yet, and other ways of asking.

The hard part of a persona is the writing, and what is missing is what its writer did not
think of. The questions that people put to any character are known
(:func:`trainer.talk.intents`), and so are many wordings of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.persona import Fact, Persona
from trainer.talk import Intent, intents
from trainer.wording import canonical

ALIKE = 80.0
"""Ratio (0 to 100) of two questions that are about the same thing, in most cases."""

OFFERED = 6
"""Wordings that are offered at once."""

WANTED = ("identity", "profile", "probe")
"""Kinds of questions that a persona should have answers of its own to, dearest first."""


@dataclass(frozen=True)
class Extent:
    """How much a persona holds.

    Attributes:
        untested: ids of the facts that have too few wordings to keep one for the test.
    """

    facts: int
    wordings: int
    dialogues: int
    turns: int
    untested: tuple[str, ...]


def extent(persona: Persona) -> Extent:
    """Count what a persona holds."""
    from trainer.dataset_split import MIN_WORDINGS

    return Extent(
        len(persona.facts),
        sum(len(fact.ask) for fact in persona.facts),
        len(persona.dialogues),
        sum(len(dialogue) for dialogue in persona.dialogues),
        tuple(fact.id for fact in persona.facts if len(fact.ask) < MIN_WORDINGS),
    )


def uncovered(persona: Persona) -> list[Intent]:
    """Return what people ask any character and no fact answers, dearest kinds first."""
    asked = [canonical(question) for fact in persona.facts for question in fact.ask]
    known = {fact.id for fact in persona.facts}
    missing = [
        intent
        for intent in intents(persona.language)
        if intent.kind in WANTED and intent.name not in known and not _alike(intent, asked)
    ]
    return sorted(missing, key=lambda intent: WANTED.index(intent.kind))


def other_wordings(persona: Persona, fact: Fact) -> list[str]:
    """Return known ways of asking what a fact answers that it does not have yet."""
    asked = [canonical(question) for question in fact.ask]
    ranked = [
        (_shared(intent, asked) + 100 * (intent.name == fact.id), intent)
        for intent in intents(persona.language)
    ]
    score, best = max(ranked, key=lambda pair: pair[0])
    if not score:
        return []
    from trainer.near import is_near

    everything = [canonical(question) for other in persona.facts for question in other.ask]
    fresh = [text for text in best.wordings if not is_near(canonical(text), everything)]
    return fresh[:OFFERED]


def _alike(intent: Intent, asked: Sequence[str]) -> bool:
    return _shared(intent, asked) > 0


def _shared(intent: Intent, asked: Sequence[str]) -> float:
    """Return how much the questions are wordings of an intent; 0 if none is."""
    from rapidfuzz import fuzz, process

    known = [canonical(wording) for wording in intent.wordings]
    scores = process.cdist(asked, known, scorer=fuzz.ratio, score_cutoff=ALIKE)
    return float(scores.max(axis=1).sum()) if len(asked) else 0.0
