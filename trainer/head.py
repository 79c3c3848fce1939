"""The loss over part of the vocabulary.

With a vocabulary of 262,144 words the output layer alone is half the cost of a step,
for words that the persona never says. So the loss is taken over the words that occur
in the data and a fresh sample of the rest, whose scores are raised by the logarithm of
how many words each stands for: an unbiased estimate of the full softmax's sum (sampled
softmax, Jean et al., arXiv 1412.2007). The dev loss always takes the whole vocabulary.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainer.batches import Batch
from trainer.chat import IGNORE
from trainer.model import Base
from trainer.prefix import Prefix

_CHUNK = 256
"""Positions whose full scores are held at once: 256 x 262,144 floats are 268 MB."""


class SampledHead:
    """Takes the training loss over the words of the data and a sample of the rest.

    Args:
        base: the frozen base.
        words: ids that occur in the data.
        sample: how many other words are drawn each time; 0 takes all of them.
        seed: of the draws.
        recompute: see :meth:`trainer.model.Base.hidden`.
    """

    def __init__(
        self,
        base: Base,
        words: Iterable[int],
        sample: int,
        seed: int,
        *,
        recompute: bool = False,
    ) -> None:
        vocabulary = base.vocabulary
        known = torch.zeros(vocabulary, dtype=torch.bool)
        known[sorted(set(words))] = True
        self._base, self._seed, self._recompute = base, seed, recompute
        self._words, self._rest = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
        self._sample = sample if 0 < sample < len(self._rest) else 0
        self._column = torch.full((vocabulary,), IGNORE)
        self._column[self._words] = torch.arange(len(self._words))
        self._column = self._column.to(base.device)

    def loss(self, batch: Batch, prefix: Prefix | None, draw: int) -> Tensor:
        """Return the summed loss of a batch; equal ``draw`` draws equal words."""
        states, targets = _learnt(self._base, batch, prefix, recompute=self._recompute)
        if not self._sample:
            return cross_entropy(self._base.logits(states), targets, reduction="sum")
        generator = torch.Generator().manual_seed(_mixed(self._seed, draw))
        drawn = self._rest[torch.randint(len(self._rest), (self._sample,), generator=generator)]
        words = torch.cat([self._words, drawn]).to(self._base.device)
        logits = self._base.logits(states, words)
        raised = logits.new_zeros(logits.shape[1])
        raised[len(self._words) :] = math.log(len(self._rest) / self._sample)
        return cross_entropy(logits + raised, self._column[targets], reduction="sum")


def _mixed(seed: int, draw: int) -> int:
    """Return 32 bits drawn from both numbers; PyTorch's generator on the CPU takes no more."""
    return random.Random(f"{seed}/{draw}").getrandbits(32)


@torch.no_grad()
def full_loss(base: Base, batch: Batch, prefix: Prefix | None) -> tuple[float, int]:
    """Return the summed loss over the whole vocabulary, and over how many tokens."""
    states, targets = _learnt(base, batch, prefix)
    return float(full_losses(base, states, targets).double().sum()), len(targets)


@torch.no_grad()
def full_losses(base: Base, states: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each position over the whole vocabulary, a chunk of them at a time.

    Args:
        base: the frozen base.
        states: ``[positions, hidden]``.
        targets: ``[positions]``.

    Returns:
        ``[positions]``, in nats.
    """
    losses = [
        cross_entropy(
            base.logits(states[start : start + _CHUNK]),
            targets[start : start + _CHUNK],
            reduction="none",
        )
        for start in range(0, len(targets), _CHUNK)
    ]
    return torch.cat(losses) if losses else states.new_zeros(0, dtype=torch.float32)


def _learnt(
    base: Base, batch: Batch, prefix: Prefix | None, *, recompute: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the states that have a target, and their targets."""
    history = batch.history if prefix else 0
    states = base.hidden(
        batch.ids,
        batch.real,
        prefix,
        where=batch.where,
        pieces=batch.pieces,
        history=history,
        recompute=recompute,
    )
    targets = batch.targets[:, history:]
    wanted = targets != IGNORE
    return states[wanted], targets[wanted]
