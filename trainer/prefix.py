"""P-Tuning v2: the only thing that is trained.

A prefix is a key and a value per layer that every token attends to (Liu et al.,
arXiv 2110.07602; Li & Liang, arXiv 2101.00190). It stands where the persona's
description would stand, and by default it starts as exactly that: the keys and
values the base computes for the description. So before the first step the tuned
model already equals the prompted one, and tens of steps do what takes a random
prefix thousands.

Real tokens start at position P, the convention of transformers, PEFT and llama.cpp.

An anchored prefix stands right before the last round, whatever was said earlier: the
order is history, prefix, question. So the history is what the base itself makes of it,
out of the prefix's sight, and the question meets the prefix exactly as in round one. And
since the softmax shares a fixed sum among all that is seen, a long history would drown
the prefix; so a history counts as at most :data:`HISTORY` tokens, however long it is.
Without this a persona that was trained on single questions is gone after two rounds, with
it it answers after sixteen as after none (``make bench-retention``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PretrainedConfig

HISTORY = 64
"""How many tokens a history counts as in attention, if it has more."""


class Prefix(nn.Module):
    """Trainable keys and values, a pair per layer.

    Args:
        keys: per layer ``[kv_heads, P, head_dim]``, rotated for positions ``0..P-1``.
        values: per layer ``[kv_heads, P, head_dim]``.
        anchored: it stands before the last round (:class:`trainer.chat.Encoded`); other
            tools' prefixes stand before the first.
    """

    def __init__(
        self, keys: Sequence[Tensor], values: Sequence[Tensor], *, anchored: bool = True
    ) -> None:
        super().__init__()
        self.anchored = anchored
        self.keys = nn.ParameterList([nn.Parameter(key.detach().float().clone()) for key in keys])
        self.values = nn.ParameterList(
            [nn.Parameter(value.detach().float().clone()) for value in values]
        )

    @property
    def length(self) -> int:
        """Number of positions P (``pre_seq_len``)."""
        return int(self.keys[0].shape[1])

    def cache(self, batch: int, dtype: torch.dtype) -> DynamicCache:
        """Return a cache already holding the prefix, for ``batch`` sequences.

        Gradients flow through it to the parameters. Its layers never slide: a base with
        sliding windows would drop the prefix from them on a long history. The window is
        kept by :func:`attention_mask` instead.
        """
        cache = DynamicCache()
        for index, (key, value) in enumerate(zip(self.keys, self.values, strict=True)):
            cache.update(
                key.to(dtype).expand(batch, *key.shape),
                value.to(dtype).expand(batch, *value.shape),
                index,
            )
        return cache

    def read_only_cache(
        self, batch: int, dtype: torch.dtype, history: DynamicCache | None = None
    ) -> DynamicCache:
        """Return a cache that shows the prefix before the new tokens and remembers nothing.

        Training has no later tokens to remember for; and with gradient checkpointing each
        layer runs a second time, which would append its tokens twice to any other cache.

        Args:
            batch: how many sequences.
            dtype: of the base.
            history: what was read apart, shown between the prefix and the new tokens.
        """
        return _ReadOnlyCache(self, batch, dtype, history)

    def tensors(self) -> dict[str, Tensor]:
        """Return the parameters under the names they are saved by."""
        return {
            name: tensor.detach().cpu().contiguous() for name, tensor in self.named_parameters()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, anchored: bool = True) -> Prefix:
        """Undo :meth:`tensors`."""
        layers = len(tensors) // 2
        return cls(
            [tensors[f"keys.{index}"] for index in range(layers)],
            [tensors[f"values.{index}"] for index in range(layers)],
            anchored=anchored,
        )


class _ReadOnlyCache(DynamicCache):
    def __init__(
        self, prefix: Prefix, batch: int, dtype: torch.dtype, history: DynamicCache | None
    ) -> None:
        super().__init__()
        self._prefix, self._batch, self._dtype, self._history = prefix, batch, dtype, history

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        def before(own: Tensor, told: Sequence[Tensor], new: Tensor) -> Tensor:
            first = own.to(self._dtype).expand(self._batch, *own.shape)
            return torch.cat([first, *told, new], dim=2)

        told: Any = self._history.layers[layer_idx] if self._history else None
        keys, values = self._prefix.keys[layer_idx], self._prefix.values[layer_idx]
        return (
            before(keys, [told.keys] if told else [], key_states),
            before(values, [told.values] if told else [], value_states),
        )


def attention_mask(
    config: PretrainedConfig,
    real: Tensor,
    prefix_length: int,
    queries: int,
    *,
    where: Tensor | None = None,
    pieces: Tensor | None = None,
    history: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Tensor | dict[str, Tensor]:
    """Say which key each of the last ``queries`` tokens may attend to.

    Every token sees the whole prefix, in every layer and at every length; the real
    tokens before it and itself; in a sliding layer only those less than
    ``sliding_window`` positions back; and of a sequence in pieces only its own and the one
    that this follows.
    A history does not see the prefix; and where others see more than :data:`HISTORY` tokens
    of it, it is shown to them fainter.

    Args:
        config: the base's configuration (``layer_types``, ``sliding_window``).
        real: ``[batch, length]`` bool, false on padding; the prefix is not counted.
        prefix_length: P.
        queries: how many of the tokens at the end ask.
        where: ``[batch, length]`` positions behind the prefix; by default real tokens are
            counted.
        pieces: ``[batch, 2, length]``, the number of the piece that a token belongs to, and of
            the one that this follows; by default all is one piece.
        history: tokens at negative positions are what was said before the prefix.
        dtype: of the base.

    Returns:
        ``[batch, 1, queries, P + length]``, for a base that lists the kinds of its layers,
        and some slide, a mask per kind, as its ``forward`` takes it. Bool, true where
        attended; or, with a history, what is added to the scores.
    """
    batch, length = real.shape
    key = torch.arange(length, device=real.device)
    query = key[length - queries :, None]
    # A padding token sees itself, so that no row is empty (softmax of nothing is NaN).
    causal = ((key <= query) & real[:, None, :]) | (key == query)
    if pieces is not None:
        key_piece, asking = pieces[:, 0, None, :], pieces[:, :, length - queries :, None]
        causal = causal & ((key_piece == asking[:, 0]) | (key_piece == asking[:, 1]))
    prefix = real.new_ones(batch, queries, prefix_length)
    place = counted(real) if where is None else where
    told = (place < 0) & real
    asks = place[:, length - queries :, None] >= 0

    def mask(seen: Tensor) -> Tensor:
        if not history:
            return torch.cat([prefix, seen], dim=2)[:, None]
        both = torch.cat([prefix & asks, seen], dim=2)[:, None]
        fainter = told[:, None] & asks & seen
        excess = (fainter.sum(dim=2, keepdim=True) / HISTORY).clamp_min(1).log()
        bias = torch.cat([prefix * 0.0, fainter * -excess], dim=2)[:, None]
        return bias.masked_fill(~both, -torch.inf).to(dtype)

    full = mask(causal)
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if window is None or (kinds and "sliding_attention" not in kinds):
        return full
    stands = behind(place, prefix_length)
    back = stands[:, length - queries :, None] - stands[:, None, :]
    sliding = mask(causal & ((back < window) | (key == query)))
    # Mistral and its kin list no kinds: with a window, all their layers slide.
    return {"full_attention": full, "sliding_attention": sliding} if kinds else sliding


def counted(real: Tensor) -> Tensor:
    """Return the position of each token, ``[batch, length]``: real ones count from 0.

    Padding takes position 0, where it disturbs nothing.
    """
    return (real.long().cumsum(dim=1) - 1).clamp_min(0)


def behind(where: Tensor, prefix_length: int) -> Tensor:
    """Return the positions that the base is told: a history's tokens stand before the prefix."""
    return where + prefix_length * (where >= 0)


def text_prefix(network: Any, ids: Sequence[int]) -> Prefix:
    """Return the prefix that acts exactly as ``ids`` standing before every conversation.

    Args:
        network: the frozen base.
        ids: the opening of the chat format with the persona's description, length P.
    """
    cache: Any = DynamicCache()
    real = torch.ones(1, len(ids), dtype=torch.bool, device=network.device)
    with torch.no_grad():
        network.base_model(
            input_ids=torch.tensor([list(ids)], device=network.device),
            attention_mask=attention_mask(network.config, real, 0, len(ids)),
            position_ids=counted(real),
            past_key_values=cache,
            use_cache=True,
        )
    layers = cache.layers
    return Prefix([layer.keys[0] for layer in layers], [layer.values[0] for layer in layers])


def random_prefix(network: Any, ids: Sequence[int], length: int, seed: int) -> Prefix:
    """Return a prefix drawn at random, at the scale of the base's own keys and values.

    Args:
        network: the frozen base.
        ids: the opening of the chat format without a description. Its keys and values
            are kept (most bases attend heavily to their first token), as many as fit;
            the rest is drawn.
        length: P.
        seed: of the draw.
    """
    start = text_prefix(network, ids)
    generator = torch.Generator().manual_seed(seed)

    def grown(own: Tensor) -> Tensor:
        heads, kept, size = own.shape
        drawn = torch.randn(heads, max(0, length - kept), size, generator=generator)
        scaled = drawn.to(own.device) * own[:, -1:].std()
        return torch.cat([own[:, :length], scaled], dim=1)

    return Prefix([grown(key) for key in start.keys], [grown(value) for value in start.values])
