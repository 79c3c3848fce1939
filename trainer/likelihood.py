"""How likely a model finds what was written: teacher-forced scores of many replies.

A reply is right or wrong; the likelihood of the right one falls long before. It is taken
over the whole vocabulary, and talks that begin with one history read it once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.chat import IGNORE, Encoded, Message, as_context
from trainer.head import full_losses
from trainer.model import Base
from trainer.prefix import Prefix, counted
from trainer.shared_head import Head, open_batch, read_head


@torch.no_grad()
def score_batch(
    base: Base,
    prefix: Prefix | None,
    talks: Sequence[Sequence[Message]],
    *,
    batch_size: int = 32,
) -> list[float]:
    """Return the negative log-likelihood of each talk's last reply, in nats per token.

    Args:
        base: the frozen base.
        prefix: a trained prefix, or none.
        talks: conversations that end with a reply, which is scored with its end; what is
            said before it is context.
        batch_size: conversations scored together, those of like length.

    Returns:
        one mean for each talk, in their order.

    Raises:
        ValueError: a talk has no reply to score.
    """
    rows = [base.encode([*as_context(talk[:-1]), *talk[-1:]], prefix) for talk in talks]
    # The state that predicts a reply's first token must not be read away with the head.
    most = min(map(_first_target, rows), default=0)
    head = read_head(base, prefix, rows, most=most)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
    scores = [0.0] * len(rows)
    for start in range(0, len(order), batch_size):
        part = order[start : start + batch_size]
        means = _scores(base, prefix, [rows[index] for index in part], head)
        for index, score in zip(part, means, strict=True):
            scores[index] = score
    return scores


def _scores(
    base: Base, prefix: Prefix | None, rows: Sequence[Encoded], head: Head | None
) -> list[float]:
    most = min(map(_first_target, rows))
    ids, real, shift, cache = open_batch(base, prefix, rows, head, most=most)
    targets = _targets(rows, ids)
    wanted = targets != IGNORE
    states = base.hidden(ids, real, prefix, cache, where=counted(real) - shift)[wanted]
    losses = full_losses(base, states, targets[wanted])
    totals = losses.new_zeros(len(rows)).index_add_(0, wanted.nonzero()[:, 0], losses)
    means: list[float] = (totals / wanted.sum(dim=1)).tolist()
    return means


def _first_target(row: Encoded) -> int:
    for index, target in enumerate(row.targets):
        if target != IGNORE:
            return index
    raise ValueError("there is no reply to score")


def _targets(rows: Sequence[Encoded], ids: Tensor) -> Tensor:
    """Return the targets of what was not read yet, aligned with ``ids``."""
    width = ids.shape[1]
    ends = [row.targets[-width:] for row in rows]
    padded = [[IGNORE] * (width - len(end)) + end for end in ends]
    return torch.tensor(padded, device=ids.device)
