"""Prompts that begin alike: what they share is read once.

Retention asks scores of questions after one and the same history, which is most of what
there is to read. So a batch is opened here, for decoding (:mod:`trainer.generate`) and for
scoring (:mod:`trainer.likelihood`) alike: its shared head goes through the network once,
and the cache is handed to every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.model import Base
from trainer.prefix import Prefix

WORTH = 16
"""Shared ids from which on a step of their own costs less than each prompt reading them."""


@torch.no_grad()
def open_batch(
    base: Base, prefix: Prefix | None, prompts: Sequence[Sequence[int]], *, most: int | None = None
) -> tuple[Tensor, Tensor, Any]:
    """Read what all prompts begin with, and return what is left to read.

    Args:
        base: the frozen base.
        prefix: a trained prefix, or none.
        prompts: ids, none of them empty.
        most: so many ids may be read at most; by default all but one of each prompt.

    Returns:
        ``ids`` ``[batch, longest rest]``, left-padded; ``real`` ``[batch, shared + longest
        rest]``, false on padding; and a cache that holds the prefix and the shared head, as
        :meth:`trainer.model.Base.hidden` takes them.
    """
    shared = _shared(prompts, most)
    ids, real = _left_padded([prompt[shared:] for prompt in prompts], base.device)
    cache = base.new_cache(1 if shared else len(prompts), prefix)
    if shared:
        head = torch.tensor([list(prompts[0][:shared])], device=base.device)
        base.hidden(head, torch.ones_like(head).bool(), prefix, cache)
        cache.batch_repeat_interleave(len(prompts))
        real = torch.cat([real.new_ones(len(prompts), shared), real], dim=1)
    return ids, real, cache


def _shared(prompts: Sequence[Sequence[int]], most: int | None) -> int:
    """Return how many first ids all prompts share, where reading them once is worth it."""
    if len(prompts) < 2:
        return 0
    first, last = min(map(list, prompts)), max(map(list, prompts))
    limit = min(len(prompt) for prompt in prompts) - 1
    limit = limit if most is None else min(limit, most)
    shared = 0
    while shared < limit and first[shared] == last[shared]:
        shared += 1
    return shared if shared >= WORTH else 0


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(len(prompt) for prompt in prompts)
    ids = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    real = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(real, device=device).bool()
