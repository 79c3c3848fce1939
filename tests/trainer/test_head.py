import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainer.batches import Batch, collate
from trainer.chat import IGNORE, Encoded, Message
from trainer.head import SampledHead, full_loss
from trainer.prefix import Prefix, text_prefix

TALKS = [
    [Message("user", "你是谁"), Message("assistant", "在下名为沐雪")],
    [
        Message("user", "hi"),
        Message("assistant", "not mine", learn=False),
        Message("user", "who are you"),
        Message("assistant", "My name is Dory"),
    ],
]


@pytest.fixture
def rows(dense_base: Any) -> list[Encoded]:
    return [dense_base.chat.encode(talk, prefixed=True, apart=True) for talk in TALKS]


@pytest.fixture
def batch(rows: list[Encoded]) -> Batch:
    return collate(rows, torch.device("cpu"))


@pytest.fixture
def prefix(dense_base: Any) -> Prefix:
    return text_prefix(dense_base.network, dense_base.chat.opening("沐雪是一只AI女孩子"))


def words(rows: list[Encoded]) -> set[int]:
    return {word for row in rows for word in [*row.ids, *row.targets] if word != IGNORE}


def states(base: Any, batch: Batch, prefix: Prefix | None) -> Tensor:
    cache = base.new_cache(len(batch.ids), prefix)
    return base.hidden(batch.ids, batch.real, prefix, cache, where=batch.where, pieces=batch.pieces)


def plain_loss(base: Any, batch: Batch, prefix: Prefix | None) -> Tensor:
    """Cross entropy over all positions and the whole vocabulary."""
    return cross_entropy(
        base.logits(states(base, batch, prefix)).flatten(0, 1),
        batch.targets.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )


@pytest.mark.parametrize("prefixed", [True, False])
def test_the_full_loss_is_the_plain_cross_entropy(
    dense_base: Any, batch: Batch, prefix: Prefix, prefixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.head._CHUNK", 3)
    used = prefix if prefixed else None
    total, tokens = full_loss(dense_base, batch, used)
    assert total == pytest.approx(plain_loss(dense_base, batch, used).item(), rel=1e-5)
    replies = [dense_base.chat.tokenizer.encode(t) for t in ("在下名为沐雪", "My name is Dory")]
    assert tokens == sum(len(reply) + 1 for reply in replies)  # the stop is learnt too


@pytest.mark.parametrize("sample", [0, 400, 10**6])
def test_a_sample_of_everything_is_the_full_loss(
    dense_base: Any, rows: list[Encoded], batch: Batch, prefix: Prefix, sample: int
) -> None:
    loss = SampledHead(dense_base, words(rows), sample, seed=0).loss(batch, prefix, draw=0)
    assert loss.item() == pytest.approx(plain_loss(dense_base, batch, prefix).item(), rel=1e-5)


def test_its_gradients_are_those_of_the_full_loss_too(
    dense_base: Any, rows: list[Encoded], batch: Batch, prefix: Prefix
) -> None:
    SampledHead(dense_base, words(rows), 0, seed=0).loss(batch, prefix, draw=0).backward()
    own = [
        parameter.grad.clone() for parameter in prefix.parameters() if parameter.grad is not None
    ]
    prefix.zero_grad()
    plain_loss(dense_base, batch, prefix).backward()
    assert len(own) == 6
    for grad, parameter in zip(own, prefix.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(grad, parameter.grad, rtol=1e-3, atol=1e-5)


def test_a_sample_estimates_the_sum_over_the_vocabulary_without_bias(
    dense_base: Any, rows: list[Encoded], batch: Batch, prefix: Prefix
) -> None:
    """The mean of exp(loss + target's score), over many draws, is the softmax's sum."""
    one = replace(batch, targets=torch.full_like(batch.targets, IGNORE))
    place = int((batch.targets[0] != IGNORE).nonzero()[0])
    one.targets[0, place] = batch.targets[0, place]
    head = SampledHead(dense_base, words(rows), 8, seed=0)
    with torch.no_grad():
        state = states(dense_base, one, prefix)[0, place]
        scores = dense_base.logits(state)
        target = scores[batch.targets[0, place]].item()
        sums = torch.tensor(
            [math.exp(head.loss(one, prefix, draw).item() + target) for draw in range(250)]
        )
    exact = scores.exp().sum().item()
    error = sums.std().item() / math.sqrt(len(sums))
    assert error < 0.03 * exact  # the test can tell
    assert abs(sums.mean().item() - exact) < 4 * error


def test_a_draw_is_a_function_of_seed_and_number(
    dense_base: Any, rows: list[Encoded], batch: Batch, prefix: Prefix
) -> None:
    def loss(seed: int, draw: int) -> float:
        return SampledHead(dense_base, words(rows), 8, seed).loss(batch, prefix, draw).item()

    assert loss(1, 5) == loss(1, 5)
    assert len({loss(1, 5), loss(1, 6), loss(2, 5)}) == 3
    assert math.isfinite(loss(2**32 - 1, 10**6))


def test_a_sampled_loss_trains(
    dense_base: Any, rows: list[Encoded], batch: Batch, prefix: Prefix
) -> None:
    head = SampledHead(dense_base, words(rows), 16, seed=0)
    head.loss(batch, prefix, draw=0).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in prefix.parameters())
