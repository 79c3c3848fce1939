"""From examples to tensors: lessons, packing, trees.

Two things decide how fast a small machine trains: padding computes nothing, so examples
are packed into one sequence instead; and history is read for the sake of one reply, so
the examples that share a history share its tokens. Such a sequence is a row of trees: a
trunk, which is a history, and a branch for each example that follows it. No branch sees
another, and none another's trunk.

Everything is a function of the examples, the settings and the number of the epoch,
never of what ran before: that is what lets a resumed run go on to the same weights.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainer.chat import IGNORE, Chat, Encoded, Message, latest_rounds
from trainer.config import TrainConfig
from trainer.errors import DatasetError
from trainer.language import say


@dataclass(frozen=True)
class Batch:
    """Sequences of trees: first all the trunks, then all the branches.

    Attributes:
        ids: ``[batch, length]``.
        real: ``[batch, length]`` bool, false on padding.
        targets: ``[batch, length]``, :data:`trainer.chat.IGNORE` where there is no loss.
        where: ``[batch, length]`` positions behind the prefix, negative on a history.
        pieces: ``[batch, 2, length]``, see :func:`trainer.prefix.attention_mask`.
        history: the trunks' columns: so many first ones hold nothing else.
    """

    ids: Tensor
    real: Tensor
    targets: Tensor
    where: Tensor
    pieces: Tensor
    history: int


def collate(rows: Sequence[Encoded], device: torch.device) -> Batch:
    """Pack ``rows`` into as few sequences as their room allows, sharing their histories.

    Args:
        rows: encoded examples; those that share a history stand together.
        device: of the tensors.
    """
    packed = [_Sequence()]
    for row in rows:
        if not packed[-1].takes(row):
            packed.append(_Sequence())
        packed[-1].add(row)
    # Trunks end in the same column, so that they can be read before the branches.
    trunk = max(len(sequence.trunks.ids) for sequence in packed)
    longest = max(len(sequence.branches.ids) for sequence in packed)

    def padded(name: str, filler: int) -> Tensor:
        lines = []
        for sequence in packed:
            before, after = getattr(sequence.trunks, name), getattr(sequence.branches, name)
            left, right = trunk - len(before), longest - len(after)
            lines.append([filler] * left + before + after + [filler] * right)
        return torch.tensor(lines, device=device)

    pieces = torch.stack([padded("piece", _PADDING), padded("follows", _PADDING)], dim=1)
    real = pieces[:, 0] != _PADDING
    ids, targets, where = padded("ids", 0), padded("targets", IGNORE), padded("where", 0)
    return Batch(ids, real, targets, where, pieces, trunk)


_PADDING = -1


@dataclass
class _Tokens:
    """Tokens side by side, with all that is known of each."""

    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    where: list[int] = field(default_factory=list)
    piece: list[int] = field(default_factory=list)
    follows: list[int] = field(default_factory=list)

    def add(self, ids: list[int], targets: list[int], first: int, piece: int, follows: int) -> None:
        self.ids += ids
        self.targets += targets
        self.where += range(first, first + len(ids))
        self.piece += [piece] * len(ids)
        self.follows += [follows] * len(ids)


class _Sequence:
    """A row of trees that grows by one example after the other."""

    def __init__(self) -> None:
        self.trunks, self.branches = _Tokens(), _Tokens()
        self._told: list[int] = []
        self._trunk, self._pieces = 0, 0

    def takes(self, row: Encoded) -> bool:
        size = len(self.trunks.ids) + len(self.branches.ids)
        more = len(row.ids) - (row.history if self._shares(row) else 0)
        return not size or size + more <= PACKED

    def add(self, row: Encoded) -> None:
        if not self._shares(row):
            self._told, self._trunk = row.ids[: row.history], self._next()
            nothing = [IGNORE] * row.history
            self.trunks.add(self._told, nothing, -row.history, self._trunk, self._trunk)
        ids, targets = row.ids[row.history :], row.targets[row.history :]
        self.branches.add(ids, targets, 0, self._next(), self._trunk)

    def _shares(self, row: Encoded) -> bool:
        return row.history > 0 and row.ids[: row.history] == self._told

    def _next(self) -> int:
        self._pieces += 1
        return self._pieces


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
    for index, row in enumerate(rows):
        # Without a history nothing is shared: such a row stands anywhere.
        groups.setdefault(tuple(row.ids[: row.history]) or (-1 - index,), []).append(row)
    order = list(groups.values())
    draw.shuffle(order)
    size = config.per_device_train_batch_size
    return list(_chunks([row for group in order for row in group], size))


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
