"""Which checkpoint is served: the one that is still itself after other talk.

The dev loss cannot tell. It turns while the replies still get better, since one wrong
answer said with confidence costs more than ten vague ones. So at each checkpoint questions
are asked as in a chat, after some rounds of the *training* bank's talk: the test bank is
for the figures that are reported, and nothing may be chosen by it. Half of what counts is
dev's wordings, which are not taught; half is taught ones, or a checkpoint that does not
know its lessons yet would win by luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from trainer.chat import Message
from trainer.config import TrainConfig
from trainer.dataset_files import Dataset
from trainer.errors import DatasetError
from trainer.evaluate import taught
from trainer.example import Example
from trainer.generate import reply_all
from trainer.language import say
from trainer.metrics import is_near
from trainer.model import Base
from trainer.persona import Persona
from trainer.prefix import Prefix
from trainer.sampling import Sampling
from trainer.talk import running_talk

QUESTIONS = 48
"""Questions of either kind asked at most: on two cores about twenty seconds in all."""


class Judge:
    """Asks questions after ``depth`` rounds of general talk.

    Args:
        base: the frozen base.
        persona: whose facts they are.
        held: dev's questions, each of a fact.
        known: questions that are taught, each of a fact.
        depth: rounds of talk before them.
    """

    def __init__(
        self,
        base: Base,
        persona: Persona,
        held: Sequence[Example],
        known: Sequence[Example],
        depth: int,
    ) -> None:
        self._base = base
        self._facts = {fact.id: fact for fact in persona.facts}
        self._held, self._known = _some(held), _some(known)
        self._history = running_talk(persona.language, "train", depth, "choice")

    def retention(self, prefix: Prefix) -> float:
        """Return the mean of Recall and TrainPair (:mod:`trainer.retention`)."""
        asked = [*self._held, *self._known]
        talks = [(*self._history, Message("user", example.prompt)) for example in asked]
        how = Sampling(max_new_tokens=64)
        replies = reply_all(self._base, prefix, talks, sampling=how)
        facts = [self._facts[example.fact or ""] for example in asked]
        first = len(self._held)
        recall = [facts[index].matches(replies[index]) for index in range(first)]
        taught = [
            is_near(facts[index].answer, replies[index]) for index in range(first, len(asked))
        ]
        return (sum(recall) / len(recall) + sum(taught) / len(taught)) / 2


def _some(examples: Sequence[Example]) -> list[Example]:
    few = len(examples) <= QUESTIONS
    return list(examples) if few else Random("choice").sample(list(examples), QUESTIONS)


def make_judge(base: Base, dataset: Dataset, persona: Persona, config: TrainConfig) -> Judge | None:
    """Return what chooses between checkpoints; none where the last one is served.

    Raises:
        DatasetError: retention is asked for, and dev has no question about a fact.
    """
    is_mix = dataset.manifest.mix is not None
    if config.serve == "last" or (config.serve == "auto" and not is_mix):
        return None
    facts = {fact.id for fact in persona.facts}
    held = [example for example in dataset.dev if example.fact in facts]
    known = [example for example in taught(dataset) if example.fact in facts]
    if held and known:
        return Judge(base, persona, held, known, config.retention_depth)
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
