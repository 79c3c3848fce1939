"""General talk as the untuned base itself answers it, for a prefix that forgets nothing else.

What is only ever taught to speak of itself forgets the rest. So a share of the training
is general talk with the replies that the base gives by itself, greedily: to go on giving
them is all that is asked (rehearsal; Robins 1995, Scialom et al., arXiv 2205.12393).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from trainer.chat import Message
from trainer.dataset_split import canonical_questions
from trainer.example import Example
from trainer.generate import reply_all
from trainer.model import Base
from trainer.near import is_near
from trainer.persona import Persona
from trainer.sampling import Sampling
from trainer.talk import scraps
from trainer.wording import canonical

MAX_NEW_TOKENS = 48
"""Enough for an answer; a base without a chat format goes on for ever."""


def replayed(
    base: Base,
    persona: Persona,
    number: int,
    *,
    kept: Sequence[Example] = (),
    seed: int = 0,
    report: Callable[[float], None] = lambda _done: None,
) -> tuple[Example, ...]:
    """Return ``number`` first questions of the training bank's talk with the base's replies.

    A reply that betrays the base, or is empty, is left out: that is not to be rehearsed.

    Args:
        base: the untuned base.
        persona: whose leaks they must not be.
        number: at most so many, and no more than there are.
        kept: what dev asks; nothing near it is asked here.
        seed: of the choice.
        report: told how much is done, from 0 to 1.
    """
    dev = canonical_questions(kept)
    asked = [scrap[0][0] for scrap in scraps(persona.language, "train")]
    asked = [question for question in asked if not is_near(canonical(question), dev)]
    chosen = Random(f"{seed}/replay").sample(asked, min(number, len(asked)))
    talks = [(Message("user", question),) for question in chosen]
    how = Sampling(max_new_tokens=MAX_NEW_TOKENS)
    replies = reply_all(base, None, talks, sampling=how, report=report)
    return tuple(
        Example((Message("user", question), Message("assistant", reply)), "replay", None)
        for question, reply in zip(chosen, replies, strict=True)
        if reply and not persona.leaked(reply)
    )
