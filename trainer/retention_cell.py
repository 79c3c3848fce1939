"""Asks a tuned persona everything after one history, and judges what it says.

Replies are judged without a model: by the fact's own ``expect`` and ``reject``, by the
persona's ``leaks``, and by chrF to what the author wrote; and the likelihood of the
written answer is taken, which moves long before a reply does.
"""

from __future__ import annotations

import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from trainer.chat import Message
from trainer.generate import reply_all
from trainer.likelihood import score_batch
from trainer.metrics import is_near
from trainer.model import Tuned
from trainer.persona import Persona
from trainer.probes import HALVES, Dialogues, History, Probe
from trainer.retention_file import Cell, Reply, Skipped, make_cell
from trainer.sampling import Sampling
from trainer.talk import leaked
from trainer.wording import asks_identity

MAX_NEW_TOKENS = 48
"""A reply is cut there."""

Answer = Callable[[Sequence[Sequence[Message]]], Sequence[str]]
"""Answers conversations that end with a question, all of them after one history."""

_REPLYING = 0.8
"""Share of a cell's time in which the replies are made; the rest is scoring."""


class Asker:
    """What all cells share: who is asked what, after which dialogues.

    Args:
        tuned: the checkpoint.
        probes: the questions.
        dialogues: what stands before them.
        answer: answers in place of the bare model.
    """

    def __init__(
        self,
        tuned: Tuned,
        probes: Sequence[Probe],
        dialogues: Dialogues,
        answer: Answer | None = None,
    ) -> None:
        self._tuned, self._probes, self._dialogues = tuned, probes, dialogues
        self._answer = answer
        self._facts = {fact.id: fact for fact in tuned.card.persona.facts}
        self._broken = _broken_answers(tuned.card.persona)

    def ask(
        self,
        history: History,
        depth: int,
        without: Cell | None,
        told: Callable[[float], None] = lambda _done: None,
    ) -> Cell:
        """Ask all the questions after ``depth`` rounds of a history.

        Args:
            history: what stands before them.
            depth: how many rounds of it.
            without: the cell without rounds; none while that is what is measured.
            told: told how much is done, from 0 to 1.
        """
        start = time.monotonic()
        bare = {} if without is None else {(r.fact, r.question): r.nll for r in without.replies}
        replies: dict[Probe, Reply] = {}
        for half in HALVES:
            probes = [probe for probe in self._probes if probe.half == half]
            before = self._dialogues.before(history, depth, half)
            said = self._replies(probes, before, _part(told, half))
            nll, margin = self._likelihoods(probes, before)
            for probe, reply in zip(probes, said, strict=True):
                known = nll.get(probe), bare.get((probe.fact, probe.question)), margin.get(probe)
                replies[probe] = self._judged(probe, reply, *known)
            told((half + 1) / len(HALVES))
        return make_cell(
            history,
            depth,
            tokens=self.tokens(history, depth),
            seconds=time.monotonic() - start,
            peak_memory=_peak_memory(self._tuned.base.device),
            replies=[replies[probe] for probe in self._probes],
        )

    def tokens(self, history: History, depth: int) -> int:
        """Return the tokens of a history; of the two dialogues' the fewer."""
        talks = (self._dialogues.before(history, depth, half) for half in HALVES)
        return min(map(self._size, talks))

    def rounds_of(self, tokens: int) -> int:
        """Return the fewest rounds of talk with ``tokens`` tokens; one too many if none have."""
        depths = range(self._dialogues.longest("long") + 1)
        return bisect_left(depths, tokens, key=lambda depth: self.tokens("long", depth))

    def fault(self, history: History, depth: int) -> Skipped | None:
        """Say why a cell cannot be measured; nothing if it can."""

        def skipped(reason: Literal["rounds", "context"], needs: int, has: int) -> Skipped:
            return Skipped(history=history, depth=depth, reason=reason, needs=needs, has=has)

        rounds = self._dialogues.longest(history)
        if depth > rounds:
            return skipped("rounds", depth, rounds)
        room = self._tuned.base.context - self._tuned.prefix.length
        needs = max(self._longest(history, depth, half) for half in HALVES)
        return skipped("context", needs, room) if needs > room else None

    def _replies(
        self,
        probes: Sequence[Probe],
        before: Sequence[Message],
        told: Callable[[float], None],
    ) -> Sequence[str]:
        talks = [probe.after(before) for probe in probes]
        if self._answer is not None:
            return self._answer(talks)
        how = Sampling(max_new_tokens=MAX_NEW_TOKENS)
        tuned = self._tuned
        return reply_all(tuned.base, tuned.prefix, talks, sampling=how, report=told)

    def _likelihoods(
        self, probes: Sequence[Probe], before: Sequence[Message]
    ) -> tuple[dict[Probe, float], dict[Probe, float]]:
        """Return the NLL of the written answers, and how much worse leaked ones are.

        Of held-out wordings only: to know a taught one by heart is not to know the fact.
        """
        dev = [probe for probe in probes if not probe.taught]
        who = [probe for probe in dev if self._facts[probe.fact].is_identity]
        written = [_answered(probe, before, probe.written) for probe in dev]
        broken = [_answered(probe, before, text) for probe in who for text in self._broken]
        scores = score_batch(self._tuned.base, self._tuned.prefix, [*written, *broken])
        nll = dict(zip(dev, scores[: len(dev)], strict=True))
        margin = {}
        for index, probe in enumerate(who):
            first = len(dev) + index * len(self._broken)
            worse = scores[first : first + len(self._broken)]
            margin[probe] = sum(worse) / len(worse) - nll[probe]
        return nll, margin

    def _judged(
        self, probe: Probe, reply: str, nll: float | None, bare: float | None, margin: float | None
    ) -> Reply:
        persona, fact = self._tuned.card.persona, self._facts[probe.fact]
        without = nll if bare is None else bare
        return Reply(
            fact=probe.fact,
            question=probe.question,
            written=probe.written,
            taught=probe.taught,
            reply=reply,
            right=is_near(fact.answer, reply) if probe.taught else fact.matches(reply),
            leaked=persona.leaked(reply) if persona.leaks else None,
            contradicts=fact.contradicts(reply) if fact.reject else None,
            nll=nll,
            delta_nll=None if nll is None or without is None else nll - without,
            margin=margin,
        )

    def _longest(self, history: History, depth: int, half: int) -> int:
        """Return the tokens of the longest question with its longest answer, after a history."""
        probes = [probe for probe in self._probes if probe.half == half]
        if not probes:
            return 0
        before = self._dialogues.before(history, depth, half)
        asked = max(probes, key=lambda probe: self._size(probe.after(())))
        texts = [*(probe.written for probe in probes), *self._broken]
        tokenizer = self._tuned.base.chat.tokenizer
        reply = max(len(tokenizer.encode(text)) for text in texts)
        return self._size(asked.after(before)) + max(MAX_NEW_TOKENS, reply)

    def _size(self, messages: Sequence[Message]) -> int:
        return len(self._tuned.base.encode(messages, self._tuned.prefix).ids)


def _part(told: Callable[[float], None], half: int) -> Callable[[float], None]:
    return lambda done: told((half + done * _REPLYING) / len(HALVES))


def _answered(probe: Probe, before: Sequence[Message], text: str) -> tuple[Message, ...]:
    return (*probe.after(before), Message("assistant", text))


def _broken_answers(persona: Persona) -> tuple[str, ...]:
    """Return what a broken character of the test bank says when asked who it is."""
    pairs = leaked(persona.language, "test")
    return tuple(reply for question, reply in pairs if asks_identity(question))


def _peak_memory(device: torch.device) -> int | None:
    """Return the most bytes held so far, on the card or by the process; none if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
