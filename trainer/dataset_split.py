"""Decides which examples are kept for dev, and proves that none of them was trained on.

A dev score means something only if the fact was taught and the wording was not. So
every fact that can spare a wording keeps one for dev, and wordings that are the same
question, or nearly (:mod:`trainer.wording`), stay together in one split, whichever
fact or dialogue they come from.

The choice hangs on the seed and on the wordings only: adding a fact to a persona does
not move the dev wordings of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from trainer.example import Example
from trainer.near import is_near, near_pairs
from trainer.wording import canonical

MIN_WORDINGS = 3
"""A fact with fewer wordings needs them all for training."""

MIN_DIALOGUES = 4
"""Fewer dialogues are all needed for training."""

DIALOGUE_SHARE = 0.15
"""Share of the dialogues kept for dev."""

SPARE = 2
"""So many wordings of a fact stay in train where that is possible."""

Cluster = tuple[int, ...]
"""Indices of examples that must not be separated."""


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """What comparing every dev question with every train question found.

    Attributes:
        exact: dev questions that are asked in train too (same canonical text).
        near: dev questions that are nearly one asked in train.
        compared: comparisons made.
    """

    exact: int
    near: int
    compared: int


def leak_check(train: Iterable[Example], dev: Iterable[Example]) -> LeakCheck:
    """Compare what the user says in ``dev`` with what the user says in ``train``.

    Each with each, by other means than the split was made with: a test of it, not its echo.
    """
    taught, asked = canonical_questions(train), canonical_questions(dev)
    exact = set(asked) & set(taught)
    near = [question for question in asked if question not in exact and is_near(question, taught)]
    return LeakCheck(len(exact), len(near), len(taught) * len(asked))


def choose_dev(examples: Sequence[Example], *, seed: int, share: float) -> frozenset[int]:
    """Return the indices of the examples to keep for dev.

    Args:
        examples: one for each wording (with its fact) and each dialogue (fact None).
        seed: another seed keeps other wordings.
        share: of each fact's wordings; at least one of MIN_WORDINGS or more is kept.
    """
    choice = _Choice(examples, seed, share)
    for fact in choice.facts:
        while cluster := choice.next_for(fact):
            choice.keep(cluster)
    return frozenset(choice.dev)


def cluster_questions(examples: Sequence[Example]) -> list[Cluster]:
    """Group the indices of examples that share a question or a near one, also by a third."""
    parent = list(range(len(examples)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    asked_by: dict[str, int] = {}
    for index, example in enumerate(examples):
        for question in canonical_questions([example]):
            parent[root(index)] = root(asked_by.setdefault(question, index))
    questions = list(asked_by)
    for one, other in near_pairs(questions):
        parent[root(asked_by[questions[one]])] = root(asked_by[questions[other]])
    groups: dict[int, list[int]] = {}
    for index in range(len(examples)):
        groups.setdefault(root(index), []).append(index)
    return [tuple(group) for group in groups.values()]


class _Choice:
    """The dev set while it is being chosen, cluster by cluster.

    The dialogues (fact None) are kept by the same rules as the wordings of a fact.
    """

    def __init__(self, examples: Sequence[Example], seed: int, share: float) -> None:
        self.dev: set[int] = set()
        self.facts = Counter(example.fact for example in examples)
        self._kept: Counter[str | None] = Counter()
        self._wanted = {fact: _wanted(fact, size, share) for fact, size in self.facts.items()}
        self._examples, self._seed = examples, seed
        self._taught = Counter((example.fact, example.completion) for example in examples)
        self._clusters: dict[str | None, list[Cluster]] = {fact: [] for fact in self.facts}
        for cluster in cluster_questions(examples):
            for fact in self._count(cluster):
                self._clusters[fact].append(cluster)

    def next_for(self, fact: str | None) -> Cluster | None:
        """Return the cluster to keep next for ``fact``; None if it has enough or none fits.

        The first may take more than is wanted, or leave less than SPARE: better than
        never asking about the fact. Among equals the one whose answers stay taught.
        """
        kept = self._kept[fact]
        if kept >= self._wanted[fact]:
            return None
        for spare in (SPARE,) if kept else (SPARE, 1):
            fitting = [c for c in self._clusters[fact] if self._fits(c, spare, within=kept > 0)]
            if fitting:
                return min(fitting, key=self._cost)
        return None

    def keep(self, cluster: Cluster) -> None:
        """Keep ``cluster`` for dev."""
        self.dev.update(cluster)
        self._kept.update(self._count(cluster))
        self._taught.subtract(self._answers(cluster))

    def _fits(self, cluster: Cluster, spare: int, *, within: bool) -> bool:
        if not self.dev.isdisjoint(cluster):
            return False
        return all(
            self._wanted[fact] > 0
            and self.facts[fact] - self._kept[fact] - number >= spare
            and not (within and self._kept[fact] + number > self._wanted[fact])
            for fact, number in self._count(cluster).items()
        )

    def _cost(self, cluster: Cluster) -> tuple[int, int, float]:
        excess = sum(
            max(0, self._kept[fact] + number - self._wanted[fact])
            for fact, number in self._count(cluster).items()
        )
        answers = Counter(self._answers(cluster))
        untaught = sum(self._taught[answer] == number for answer, number in answers.items())
        return excess, untaught, self._lot(cluster)

    def _lot(self, cluster: Cluster) -> float:
        """Draw lots by what is asked, so that no other cluster has a say in it."""
        asked = min(canonical_questions(self._examples[index] for index in cluster))
        return Random(f"{self._seed}:{asked}").random()

    def _count(self, cluster: Cluster) -> Counter[str | None]:
        return Counter(self._examples[index].fact for index in cluster)

    def _answers(self, cluster: Cluster) -> Iterator[tuple[str | None, str]]:
        for index in cluster:
            yield self._examples[index].fact, self._examples[index].completion


def _wanted(fact: str | None, size: int, share: float) -> int:
    """Return how many of ``size`` examples to keep for dev."""
    fewest, share = (MIN_DIALOGUES, DIALOGUE_SHARE) if fact is None else (MIN_WORDINGS, share)
    return max(1, min(round(size * share), size - SPARE)) if size >= fewest else 0


def canonical_questions(examples: Iterable[Example]) -> list[str]:
    """Return what the user says, each question once, in order."""
    asked = (question for example in examples for question in example.questions)
    return list(dict.fromkeys(canonical(question) for question in asked))
