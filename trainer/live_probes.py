"""The same few questions, answered again and again while a run learns.

A loss says that something falls; a reply that turns from a language model's into the
persona's own says what. The questions are those kept for dev, so that the answers are not
merely learnt by heart. Replies are greedy and draw nothing at random: a run that is asked
reaches the very weights of one that is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainer.chat import Message
from trainer.checkpoint import disk_errors
from trainer.dataset_files import Dataset
from trainer.example import Example
from trainer.generate import reply_all
from trainer.model import Base
from trainer.persona import Persona
from trainer.prefix import Prefix
from trainer.probe_file import PROBE_FILE, Answered, Reply
from trainer.sampling import Sampling
from trainer.wording import asks_identity

LONGEST = 64
"""Tokens in a reply at most: these are asked often, and a beginning tells enough."""


class LiveProbes:
    """Asks a run's questions and writes down what was said.

    Args:
        base: the frozen base.
        persona: whose facts tell a right reply.
        dataset: where the questions come from.
        count: questions at most.
    """

    def __init__(self, base: Base, persona: Persona, dataset: Dataset, count: int) -> None:
        self._base = base
        self._asked = chosen(dataset, count)
        self._facts = {fact.id: fact for fact in persona.facts}

    def ask(self, prefix: Prefix, step: int, run: Path) -> Answered:
        """Ask everything at a step; adds a line to the run folder's ``probes.jsonl``.

        Raises:
            TrainingError: the disk is full or cannot be written.
        """
        talks = [(Message("user", example.prompt),) for example in self._asked]
        said = reply_all(self._base, prefix, talks, sampling=Sampling(max_new_tokens=LONGEST))
        pairs = zip(self._asked, said, strict=True)
        answered = Answered(step=step, replies=tuple(self._judged(*pair) for pair in pairs))
        path = run / PROBE_FILE
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(answered.model_dump_json() + "\n")
        return answered

    def _judged(self, example: Example, reply: str) -> Reply:
        fact = self._facts.get(example.fact or "")
        right = fact.matches(reply) if fact else None
        return Reply(question=example.prompt, reply=reply, right=right)


def chosen(dataset: Dataset, count: int) -> list[Example]:
    """Return up to ``count`` questions: who it is, then others spread over the facts.

    Those of dev; where there are none, taught ones.
    """
    first = _one_a_fact(dataset.dev) or _one_a_fact(dataset.train)
    identity = [example for example in first if asks_identity(example.prompt)][:1]
    others = [example for example in first if example not in identity]
    wanted = max(0, min(count - len(identity), len(others)))
    spread = [others[index * len(others) // wanted] for index in range(wanted)]
    return [*identity, *spread]


def _one_a_fact(examples: Sequence[Example]) -> list[Example]:
    """Return the first question about each fact; of those about none, all different ones."""
    found: dict[str, Example] = {}
    for example in examples:
        found.setdefault(example.fact or f"? {example.prompt}", example)
    return list(found.values())
