"""Which checkpoint is served: the one that is still itself after other talk.

The dev loss cannot tell. It turns while the replies still get better, since one wrong
answer said with confidence costs more than ten vague ones. So at each checkpoint dev's
questions are asked as in a chat, after some rounds of the *training* bank's talk: the
test bank is for the figures that are reported, and nothing may be chosen by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from trainer.chat import Message
from trainer.config import TrainConfig
from trainer.errors import DatasetError
from trainer.example import Example
from trainer.generate import Sampling, reply_batch
from trainer.language import say
from trainer.model import Base
from trainer.persona import Persona
from trainer.prefix import Prefix
from trainer.talk import running_talk

QUESTIONS = 64
"""Dev questions asked at most: on two cores about ten seconds."""


class Judge:
    """Asks dev's questions after ``depth`` rounds of general talk.

    Args:
        base: the frozen base.
        persona: whose facts they are.
        asked: dev's questions, each of a fact.
        depth: rounds of talk before them.
    """

    def __init__(self, base: Base, persona: Persona, asked: Sequence[Example], depth: int) -> None:
        self._base = base
        self._facts = {fact.id: fact for fact in persona.facts}
        few = len(asked) <= QUESTIONS
        self._asked = list(asked) if few else Random("choice").sample(list(asked), QUESTIONS)
        self._history = running_talk(persona.language, "train", depth, "choice")

    def recall(self, prefix: Prefix) -> float:
        """Return the share of replies that match their fact's ``expect``."""
        talks = [(*self._history, Message("user", example.prompt)) for example in self._asked]
        how = Sampling(max_new_tokens=64)
        replies = dict(reply_batch(self._base, prefix, talks, sampling=how))
        hits = [
            self._facts[example.fact or ""].matches(replies[index])
            for index, example in enumerate(self._asked)
        ]
        return sum(hits) / len(hits)


def make_judge(
    base: Base, persona: Persona, dev: Sequence[Example], config: TrainConfig, *, is_mix: bool
) -> Judge | None:
    """Return what chooses between checkpoints; none where the last one is served.

    Raises:
        DatasetError: retention is asked for, and dev has no question about a fact.
    """
    if config.serve == "last" or (config.serve == "auto" and not is_mix):
        return None
    facts = {fact.id for fact in persona.facts}
    asked = [example for example in dev if example.fact in facts]
    if asked:
        return Judge(base, persona, asked, config.retention_depth)
    if config.serve == "auto":
        return None
    raise DatasetError(
        say(
            zh="serve: retention 要问 dev 里的事实，可是 dev 里一个也没有",
            en="serve: retention asks dev about facts, and dev has no question about any",
        ),
        fix=say(
            zh="给事实写三种以上问法，或设 serve: last",
            en="write three or more wordings for the facts, or set serve: last",
        ),
        code="no-dev",
    )
