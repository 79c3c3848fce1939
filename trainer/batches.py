"""From examples to tensors: conversations, length buckets, padding.

Two things decide how fast a small machine trains: padding computes nothing, so
conversations of like length go together; and a conversation of several rounds trains
several depths for the tokens of one, so questions may be put in a row.

Everything is a function of the examples, the settings and the number of the epoch,
never of what ran before: that is what lets a resumed run go on to the same weights.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.chat import IGNORE, Chat, Encoded, Message, latest_rounds
from trainer.config import TrainConfig
from trainer.errors import DatasetError
from trainer.example import Example
from trainer.language import say

_BUCKET = 8
"""Batches' worth of conversations that are sorted by length together."""


@dataclass(frozen=True)
class Batch:
    """Right-padded sequences.

    Attributes:
        ids: ``[batch, length]``.
        real: ``[batch, length]`` bool, false on padding.
        targets: ``[batch, length]``, :data:`trainer.chat.IGNORE` where there is no loss.
    """

    ids: Tensor
    real: Tensor
    targets: Tensor


def collate(rows: Sequence[Encoded], device: torch.device) -> Batch:
    """Pad ``rows`` to the longest of them."""
    longest = max(len(row.ids) for row in rows)

    def padded(values: list[int], filler: int) -> list[int]:
        return values + [filler] * (longest - len(values))

    return Batch(
        torch.tensor([padded(row.ids, 0) for row in rows], device=device),
        torch.tensor([padded([1] * len(row.ids), 0) for row in rows], device=device).bool(),
        torch.tensor([padded(row.targets, IGNORE) for row in rows], device=device),
    )


def epoch_batches(
    examples: Sequence[Example], chat: Chat, config: TrainConfig, epoch: int
) -> list[list[Encoded]]:
    """Return the batches of one epoch, in an order drawn from the seed and the epoch.

    Raises:
        DatasetError: if an example does not fit the settings.
    """
    draw = random.Random(f"{config.seed}/{epoch}")
    talks = list(_conversations(examples, config.rounds_per_example, draw))
    rows = [row for talk in talks for row in encode_example(chat, talk, config)]
    size = config.per_device_train_batch_size
    batches = []
    for bucket in _chunks(rows, size * _BUCKET):
        bucket.sort(key=lambda row: len(row.ids))
        batches += list(_chunks(bucket, size))
    draw.shuffle(batches)
    return batches


def encode_example(chat: Chat, messages: Sequence[Message], config: TrainConfig) -> list[Encoded]:
    """Encode a conversation behind a prefix, as one row or as one for each reply.

    Whole oldest rounds are dropped to fit, never the question.

    Raises:
        DatasetError: if the last question or a reply is too long by itself.
    """
    for message in messages:
        if message.role == "assistant":
            tokens = len(chat.tokenizer.encode(message.text))
            if tokens > config.max_target_length:
                raise _too_long(message.text, tokens, "max_target_length")
    return [_encode(chat, lesson, config) for lesson in chat.lessons(messages)]


def _encode(chat: Chat, messages: Sequence[Message], config: TrainConfig) -> Encoded:
    def source(kept: Sequence[Message]) -> int:
        return len(chat.encode(kept[:-1], prefixed=True).ids)

    kept = latest_rounds(messages, lambda rounds: source(rounds) <= config.max_source_length)
    if source(kept) > config.max_source_length:
        raise _too_long(kept[0].text, source(kept), "max_source_length")
    return chat.encode(kept, prefixed=True)


def _conversations(
    examples: Sequence[Example], rounds: int, draw: random.Random
) -> Iterator[tuple[Message, ...]]:
    """Yield conversations of 1 to ``rounds`` pairs, and the longer examples as they are."""
    order = list(examples)
    draw.shuffle(order)
    pairs = [example for example in order if len(example.messages) == 2]
    yield from (example.messages for example in order if len(example.messages) > 2)
    while pairs:
        count = draw.randint(1, rounds)
        taken, pairs = pairs[:count], pairs[count:]
        yield tuple(message for example in taken for message in example.messages)


def _chunks(items: list[Encoded], size: int) -> Iterator[list[Encoded]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _too_long(text: str, tokens: int, setting: str) -> DatasetError:
    return DatasetError(
        say(
            zh=f"{tokens} 个 token 超过了 {setting}：{text[:40]!r}",
            en=f"{tokens} tokens are over {setting}: {text[:40]!r}",
        ),
        fix=say(zh=f"把它改短，或调大 {setting}", en=f"shorten it, or raise {setting}"),
        code="too-long",
    )
