"""Where a prefix starts from: the persona's description, chance, or another checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.chat import Chat
from trainer.checkpoint import open_checkpoint, verify_base
from trainer.config import TrainConfig
from trainer.errors import ConfigError
from trainer.example import Example
from trainer.language import say
from trainer.model import Base
from trainer.persona import Persona
from trainer.prefix import Prefix, random_prefix, text_prefix

LENGTH = 256
"""Positions in a prefix unless asked otherwise: twice PRE_SEQ_LEN of the official ``train.sh``,
which learns the same in fewer steps (``python -m benchmarks steps``)."""


def first_prefix(
    base: Base, persona: Persona, train: Sequence[Example], config: TrainConfig
) -> Prefix:
    """Return the prefix before the first step, as ``config.prefix_init`` asks.

    Raises:
        CheckpointError: the other checkpoint is missing, damaged or of another base.
        ConfigError: its length is not ``config.pre_seq_len``.
    """
    described = base.chat.opening(persona.summary)
    length = config.pre_seq_len or max(LENGTH, len(described))
    if config.prefix_init == "random":
        # Without an opening, the description's first word is the one all attend to.
        opening = base.chat.opening() or described[:1]
        return random_prefix(base.network, opening, length, config.seed)
    if config.prefix_init == "text":
        return text_prefix(base.network, _text(base.chat, described, train, length))
    return _from_checkpoint(base, config)


def _from_checkpoint(base: Base, config: TrainConfig) -> Prefix:
    checkpoint = open_checkpoint(config.prefix_init)
    verify_base(checkpoint, base.source.name, base.source.sha256)
    start = Prefix.from_tensors(checkpoint.tensors(), anchored=checkpoint.card.anchored)
    if config.pre_seq_len in (None, start.length):
        return start
    raise ConfigError(
        say(
            zh=f"pre_seq_len 是 {config.pre_seq_len}，"
            f"而 {config.prefix_init} 的前缀长 {start.length}",
            en=f"pre_seq_len is {config.pre_seq_len}, but {config.prefix_init} has {start.length}",
        ),
        fix=say(zh="不要设 pre_seq_len", en="leave pre_seq_len out"),
        code="pre-seq-len",
    )


def _text(chat: Chat, described: list[int], train: Sequence[Example], length: int) -> list[int]:
    """Return ``length`` ids: the description, then the persona's own talk as one conversation.

    It begins again where all of that is shorter.
    """
    talk = [message for example in train[:length] for message in example.messages]
    ids = [*described, *chat.encode(talk, prefixed=True).ids]
    return (ids * (length // len(ids) + 1))[:length]
