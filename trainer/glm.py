"""ChatGLM2-6B and ChatGLM3-6B in their official layout, on transformers' own GLM.

The official folders bring Python code that current transformers cannot run, and that
nobody should run unread. The architecture is the one that transformers calls ``glm``:
only names and the order in which query, key and value are stored differ
(THUDM/chatglm2-6b and chatglm3-6b, ``modeling_chatglm.py``). So the configuration is
translated here, and each tensor as it is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.errors import BaseModelError, Fault
from trainer.language import say

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GlmConfig

    from trainer.quantize import Bits

_NAMES = {
    "transformer.embedding.word_embeddings": "model.embed_tokens",
    "transformer.encoder.final_layernorm": "model.norm",
    "transformer.output_layer": "lm_head",
}
_LAYER_NAMES = {
    "input_layernorm": "input_layernorm",
    "post_attention_layernorm": "post_attention_layernorm",
    "self_attention.dense": "self_attn.o_proj",
    "mlp.dense_h_to_4h": "mlp.gate_up_proj",
    "mlp.dense_4h_to_h": "mlp.down_proj",
}
_LAYER = re.compile(r"transformer\.encoder\.layers\.(\d+)\.(.+)\.(weight|weight_scale|bias)")
_FUSED = "self_attention.query_key_value"
_DROPPED = "transformer.rotary_pos_emb.inv_freq"

_DIFFERENT = {
    "rmsnorm": True,
    "post_layer_norm": True,
    "original_rope": True,
    "multi_query_attention": True,
    "apply_residual_connection_post_layernorm": False,
    "add_bias_linear": False,
}
"""Switches of the official code and the only value that ``glm`` computes."""

_SIZES = (
    "hidden_size",
    "ffn_hidden_size",
    "num_layers",
    "num_attention_heads",
    "multi_query_group_num",
    "kv_channels",
    "padded_vocab_size",
    "seq_length",
)


def read_config(folder: Path) -> dict[str, Any]:
    """Return a folder's ``config.json``, or an empty dictionary where it cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):  # whoever loads the folder says what is wrong with it
        return {}
    return config if isinstance(config, dict) else {}


def is_official(config: dict[str, Any]) -> bool:
    """Say whether a ``config.json`` is one of THUDM's own, which transformers does not know."""
    return config.get("model_type") == "chatglm"


def is_first_generation(config: dict[str, Any]) -> bool:
    """Say whether an official ``config.json`` is that of the first ChatGLM-6B, not of 2 or 3."""
    return "position_encoding_2d" in config or "inner_hidden_size" in config


def official_chat_format(folder: Path) -> tuple[str, str]:
    """Return a folder's chat format and how it was recognised.

    ChatGLM3 has the architecture and the sentencepiece file of ChatGLM2; what sets it
    apart is that its tokenizer's own files speak of role tokens.
    """
    for name in ("tokenizer_config.json", "tokenization_chatglm.py"):
        try:
            told = (folder / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if "<|user|>" in told:
            return "chatglm3", say(zh=f"{name} 里有 <|user|>", en=f"{name} has <|user|>")
    origin = str(read_config(folder).get("_name_or_path", ""))
    if "chatglm3" in origin.lower():
        return "chatglm3", say(zh=f"config.json 写着 {origin}", en=f"config.json says {origin}")
    return "chatglm2", say(zh="没有角色 token", en="no role tokens")


def stored_bits(config: dict[str, Any]) -> Bits | None:
    """Return to how many bits an official folder's weights are packed; none if they are not."""
    bits = config.get("quantization_bit", 0)
    return bits if bits in (4, 8) else None


def glm_config(folder: Path) -> GlmConfig:
    """Translate an official ``config.json``.

    Raises:
        BaseModelError: a size is missing, or the model is one that ``glm`` computes otherwise.
    """
    from transformers import GlmConfig

    told = read_config(folder)
    if faults := tuple(_faults(told, folder / "config.json")):
        raise BaseModelError(faults=faults)
    return GlmConfig(
        vocab_size=told["padded_vocab_size"],
        hidden_size=told["hidden_size"],
        intermediate_size=told["ffn_hidden_size"],
        num_hidden_layers=told["num_layers"],
        num_attention_heads=told["num_attention_heads"],
        num_key_value_heads=told["multi_query_group_num"],
        head_dim=told["kv_channels"],
        rms_norm_eps=told.get("layernorm_epsilon", 1e-5),
        attention_bias=told.get("add_qkv_bias", True),
        max_position_embeddings=told["seq_length"],
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
        },
        tie_word_embeddings=told.get("tie_word_embeddings", False),
        pad_token_id=told.get("pad_token_id", 0),
        eos_token_id=told.get("eos_token_id", 2),
    )


def translated(name: str, tensor: Tensor, config: GlmConfig) -> Iterator[tuple[str, Tensor]]:
    """Yield an official tensor under transformers' names.

    Query, key and value are stored as one, rows ``[heads·D, groups·D, groups·D]``; packed
    weights and scales have the same rows, so that they split alike. A name that is not
    ChatGLM's is passed on for the loader to refuse.
    """
    if name == _DROPPED:
        return
    module, _, leaf = name.rpartition(".")
    if module in _NAMES:
        yield f"{_NAMES[module]}.{leaf}", tensor
        return
    found = _LAYER.fullmatch(name)
    import torch

    layer, part, leaf = found.groups() if found else ("", "", "")
    if part in _LAYER_NAMES:
        yield f"model.layers.{layer}.{_LAYER_NAMES[part]}.{leaf}", tensor
        return
    if part != _FUSED:
        yield name, tensor
        return
    size: Any = config.head_dim
    heads, groups = config.num_attention_heads, config.num_key_value_heads or 0
    rows = [heads * size, groups * size, groups * size]
    if tensor.shape[0] != sum(rows):  # the loader names the tensor and both shapes
        yield f"model.layers.{layer}.self_attn.q_proj.{leaf}", tensor
        return
    pieces: Any = torch.split(tensor, rows)
    for kind, piece in zip("qkv", pieces, strict=True):
        yield f"model.layers.{layer}.self_attn.{kind}_proj.{leaf}", piece


def _faults(told: dict[str, Any], path: Path) -> Iterator[Fault]:
    """Yield all that ``glm`` cannot compute of an official configuration."""
    if is_first_generation(told):
        yield _refused(
            path,
            zh="这是第一代 ChatGLM-6B，结构不同",
            en="this is the first ChatGLM-6B, another architecture",
        )
        return
    missing = [name for name in _SIZES if not (type(told.get(name)) is int and told[name] > 0)]
    if missing:
        yield _refused(
            path,
            zh=f"缺少 {'、'.join(missing)}，或者不是正整数",
            en=f"missing, or no positive whole number: {', '.join(missing)}",
        )
    elif told["num_attention_heads"] % told["multi_query_group_num"]:
        yield _refused(
            path,
            zh=f"num_attention_heads {told['num_attention_heads']} 不是 "
            f"multi_query_group_num {told['multi_query_group_num']} 的倍数",
            en=f"num_attention_heads {told['num_attention_heads']} is no multiple of "
            f"multi_query_group_num {told['multi_query_group_num']}",
        )
    for name, only in _DIFFERENT.items():
        if told.get(name, only) != only:
            yield _refused(
                path,
                zh=f"{name} 是 {told[name]}，只支持 {only}",
                en=f"{name} is {told[name]}, only {only} is supported",
            )
    if told.get("rope_ratio", 1) != 1:
        yield _refused(
            path,
            zh=f"rope_ratio 是 {told['rope_ratio']}：它有两种互不相容的含义，猜错会悄悄变笨",
            en=f"rope_ratio is {told['rope_ratio']}: it has two meanings in the wild, and the "
            "wrong one makes the model silently worse",
        )


def _refused(path: Path, *, zh: str, en: str) -> Fault:
    return Fault(
        say(zh=zh, en=en),
        path,
        fix=say(
            zh="用 chatglm2-6b、chatglm2-6b-int4 或 chatglm3-6b 的官方文件夹",
            en="use an official folder of chatglm2-6b, chatglm2-6b-int4 or chatglm3-6b",
        ),
        code="glm-config",
    )
