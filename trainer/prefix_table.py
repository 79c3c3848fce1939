"""A prefix as other tools keep it: one table, a row a position.

Official ChatGLM checkpoints and PEFT adapters order a row alike: layer, key or value, head,
channel. They differ in where a conversation begins. In PEFT real tokens start at position
P, as they do here. In THUDM's code (``modeling_chatglm.py`` of chatglm2-6b) they start at
position 0, and the keys of the prefix are not rotated. A score depends on the distance of
two positions alone, so turning those keys on by P gives the same model here, and turning
them back gives theirs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainer.bases import BaseSource
from trainer.errors import BaseModelError
from trainer.glm import glm_config
from trainer.language import say
from trainer.prefix import Prefix


class Shape(NamedTuple):
    """What keys and values look like in a base: ``[kv_heads, P, head_dim]`` in each layer."""

    layers: int
    heads: int
    size: int

    @property
    def width(self) -> int:
        """Numbers in a row of the table: a key and a value of each layer."""
        return 2 * self.layers * self.heads * self.size

    def __str__(self) -> str:
        return say(
            zh=f"{self.layers} 层 × {self.heads} 组 × {self.size}",
            en=f"{self.layers} layers × {self.heads} heads × {self.size}",
        )


def prefix_of(table: Tensor, shape: Shape) -> Prefix:
    """Return the prefix of a table ``[P, width]``; its keys are taken as they are."""
    split = table.float().view(len(table), shape.layers, 2, shape.heads, shape.size)
    keys, values = split.permute(2, 1, 3, 0, 4)
    return Prefix(list(keys), list(values))


def table_of(prefix: Prefix) -> Tensor:
    """Undo :func:`prefix_of`; returns ``[P, width]``."""
    pairs = torch.stack([torch.stack([*prefix.keys]), torch.stack([*prefix.values])])
    return pairs.detach().cpu().permute(3, 1, 0, 2, 4).flatten(1)


def moved(prefix: Prefix, config: Any, positions: int) -> Prefix:
    """Return the prefix with its keys rotated on by ``positions``; negative ones turn back.

    Args:
        prefix: of a ChatGLM base.
        config: its ``GlmConfig``, which says which channels are rotated and how fast.
        positions: how far.
    """
    from transformers.models.glm.modeling_glm import GlmRotaryEmbedding, apply_rotary_pos_emb

    keys = torch.stack([*prefix.keys]).detach()
    rotary: Any = GlmRotaryEmbedding(config)
    cos, sin = rotary(keys, torch.tensor([[positions]]))
    rotate: Any = apply_rotary_pos_emb
    turned, _ = rotate(keys, keys, cos, sin)
    return Prefix(list(turned), list(prefix.values))


def base_config(source: BaseSource) -> Any:
    """Return the base's configuration in transformers' terms, without its weights.

    Raises:
        BaseModelError: it cannot be read.
    """
    if source.official:
        return glm_config(source.folder)
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(source.folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelError(
            say(
                zh=f"transformers 读不了这个底座：{error}",
                en=f"transformers cannot read this base: {error}",
            ),
            path=source.folder / "config.json",
            fix=say(zh="检查 --base", en="look at --base"),
            code="base-unreadable",
        ) from error
    return config.get_text_config()


def base_shape(config: Any) -> Shape:
    """Return the shape of a base's keys and values."""
    heads = config.num_attention_heads
    return Shape(
        config.num_hidden_layers,
        getattr(config, "num_key_value_heads", None) or heads,
        getattr(config, "head_dim", None) or config.hidden_size // heads,
    )
