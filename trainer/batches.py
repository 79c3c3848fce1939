"""From examples to tensors: lessons, packing, trees.

Two things decide how fast a small machine trains: padding computes nothing, so examples
are packed into one sequence instead; and history is read for the sake of one reply, so
the examples that share a history share its tokens. Such a sequence is a tree: a trunk
that all see, and a branch for each example that no other sees.

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
from trainer.language import say


@dataclass(frozen=True)
class Batch:
    """Sequences, each a tree: what its examples share is the trunk, each has a branch.

    Attributes:
        ids: ``[batch, length]``.
        real: ``[batch, length]`` bool, false on padding.
        targets: ``[batch, length]``, :data:`trainer.chat.IGNORE` where there is no loss.
        where: ``[batch, length]`` positions behind the prefix, negative on a history.
        branches: ``[batch, length]``, 0 on the trunk.
        history: the trunks' columns: so many first ones hold nothing else.
    """

    ids: Tensor
    real: Tensor
    targets: Tensor
    where: Tensor
    branches: Tensor
    history: int


def collate(rows: Sequence[Encoded], device: torch.device) -> Batch:
    """Pack ``rows`` into as few sequences as their room allows, sharing their histories.

    Args:
        rows: encoded examples.
        device: of the tensors.
    """
    trees: list[_Tree] = []
    for row in rows:
        if not trees or not trees[-1].takes(row):
            trees.append(_Tree(row))
        trees[-1].add(row)
    # Trunks end in the same column, so that they can be read before the branches.
    trunk = max(tree.trunk for tree in trees)
    longest = max(len(tree.ids) - tree.trunk for tree in trees)

    def padded(lists: Sequence[list[int]], filler: int) -> Tensor:
        filled = [
            [filler] * (trunk - tree.trunk)
            + values
            + [filler] * (longest + tree.trunk - len(values))
            for tree, values in zip(trees, lists, strict=True)
        ]
        return torch.tensor(filled, device=device)

    return Batch(
        padded([tree.ids for tree in trees], 0),
        padded([[1] * len(tree.ids) for tree in trees], 0).bool(),
        padded([tree.targets for tree in trees], IGNORE),
        padded([tree.where for tree in trees], 0),
        padded([tree.branches for tree in trees], 0),
        trunk,
    )


class _Tree:
    """A sequence that grows by one example after the other.

    The trunk is the history that its first example has; who shares it adds what follows.
    """

    def __init__(self, first: Encoded) -> None:
        self.trunk = first.history
        self.ids = first.ids[: self.trunk]
        self.targets = [IGNORE] * self.trunk
        self.where = list(range(-self.trunk, 0))
        self.branches = [0] * self.trunk

    def takes(self, row: Encoded) -> bool:
        fits = len(self.ids) + len(row.ids) - self.trunk <= PACKED
        shares = row.history == self.trunk and row.ids[: self.trunk] == self.ids[: self.trunk]
        return fits and shares

    def add(self, row: Encoded) -> None:
        branch = max(self.branches, default=0) + 1
        self.ids += row.ids[self.trunk :]
        self.targets += row.targets[self.trunk :]
        self.where += range(len(row.ids) - self.trunk)
        self.branches += [branch] * (len(row.ids) - self.trunk)


PACKED = 768
"""Tokens up to which examples go into one sequence: attention is the square of its length."""


def epoch_batches(
    lessons: Sequence[Sequence[Encoded]], config: TrainConfig, epoch: int
) -> list[list[Encoded]]:
    """Return the batches of one epoch, in an order drawn from the seed and the epoch.

    Of a conversation with several replies each epoch teaches one, in turn. Examples with
    the same history go together, so that it is read once for all of them.

    Args:
        lessons: the rows of each example (:func:`encode_example`).
        config: the settings.
        epoch: its number.
    """
    draw = random.Random(f"{config.seed}/{epoch}")
    rows = [each[epoch % len(each)] for each in lessons if each]
    draw.shuffle(rows)
    groups: dict[tuple[int, ...], list[Encoded]] = {}
    for row in rows:
        groups.setdefault(tuple(row.ids[: row.history]), []).append(row)
    size = config.per_device_train_batch_size
    chunks = [chunk for group in groups.values() for chunk in _chunks(group, size)]
    whole = [chunk for chunk in chunks if len(chunk) == size]
    rest = [row for chunk in chunks if len(chunk) < size for row in chunk]
    batches = [*whole, *_chunks(rest, size)]
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
    def encoded(kept: Sequence[Message]) -> Encoded:
        return chat.encode(kept, prefixed=True, apart=config.anchored)

    def source(kept: Sequence[Message]) -> int:
        return len(encoded(kept[:-1]).ids)

    kept = latest_rounds(messages, lambda rounds: source(rounds) <= config.max_source_length)
    if source(kept) > config.max_source_length:
        raise _too_long(kept[0].text, source(kept), "max_source_length")
    return encoded(kept)


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
