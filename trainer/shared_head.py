"""Prompts that begin alike: what they share is read once.

Retention asks scores of questions after one and the same history, which is most of what
there is to read. So batches are opened here, for decoding (:mod:`trainer.generate`) and
for scoring (:mod:`trainer.likelihood`) alike: the shared head goes through the network
once, and its cache is handed to every row of every batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.chat import Encoded
from trainer.model import Base
from trainer.prefix import Prefix, counted

WORTH = 16
"""Shared ids from which on a step of their own costs less than each prompt reading them."""


@dataclass(frozen=True)
class Head:
    """What some prompts begin with, read.

    Attributes:
        length: how many ids.
        cache: of one row, holding the prefix and them; to be copied, not grown.
    """

    length: int
    cache: Any


def read_head(
    base: Base, prefix: Prefix | None, prompts: Sequence[Encoded], *, most: int | None = None
) -> Head | None:
    """Read what all prompts begin with; none if that is not worth a step of its own.

    Args:
        base: the frozen base.
        prefix: a trained prefix, or none.
        prompts: encoded, none of them empty.
        most: so many ids at most; by default all but one of each prompt.
    """
    shared = _shared(prompts, most)
    if shared < WORTH:
        return None
    cache = base.new_cache(1, prefix)
    _read(base, prefix, prompts[0], 0, shared, cache)
    return Head(shared, cache)


def open_batch(
    base: Base,
    prefix: Prefix | None,
    prompts: Sequence[Encoded],
    head: Head | None = None,
    *,
    most: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Any]:
    """Return what is left to read of some prompts, and a cache that holds the rest.

    Args:
        base: the frozen base.
        prefix: a trained prefix, or none.
        prompts: encoded, none of them empty.
        head: what they, and others, begin with. What these share beyond it is read too.
        most: so many ids are read at most; by default all but one of each prompt.

    Returns:
        ``ids`` ``[batch, longest rest]``, left-padded; ``real`` ``[batch, read + longest
        rest]``, false on padding; how much of each row is history, by which it is moved back,
        ``[batch, 1]``; and a cache of the prefix and of what was read, as
        :meth:`trainer.model.Base.hidden` takes them.
    """
    known, shared = head.length if head else 0, _shared(prompts, most)
    cache = deepcopy(head.cache) if head else base.new_cache(1, prefix)
    if shared - known >= WORTH:
        _read(base, prefix, prompts[0], known, shared, cache)
        known = shared
    ids, real = _left_padded([prompt.ids[known:] for prompt in prompts], base.device)
    shift = torch.tensor([[prompt.history] for prompt in prompts], device=base.device)
    if not known:
        return ids, real, shift, base.new_cache(len(prompts), prefix)
    cache.batch_repeat_interleave(len(prompts))
    return ids, torch.cat([real.new_ones(len(prompts), known), real], dim=1), shift, cache


@torch.no_grad()
def _read(
    base: Base, prefix: Prefix | None, row: Encoded, start: int, end: int, cache: Any
) -> None:
    """Read a row's ids from ``start`` to ``end`` into the cache of those before."""
    read = torch.tensor([row.ids[start:end]], device=base.device)
    real = read.new_ones(1, end).bool()
    where = counted(real) - row.history
    base.hidden(read, real, prefix, cache, where=where)


def _shared(prompts: Sequence[Encoded], most: int | None) -> int:
    """Return how many first ids two or more prompts share, at the same positions."""
    if len(prompts) < 2 or len({prompt.history for prompt in prompts}) > 1:
        return 0
    first, last = min(p.ids for p in prompts), max(p.ids for p in prompts)
    limit = min(len(prompt.ids) for prompt in prompts) - 1
    limit = limit if most is None else min(limit, most)
    shared = 0
    while shared < limit and first[shared] == last[shared]:
        shared += 1
    return shared


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(len(prompt) for prompt in prompts)
    ids = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    real = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(real, device=device).bool()
