"""Reads prefixes of other tools: official ChatGLM P-Tuning v2 checkpoints and PEFT adapters.

Such a checkpoint is a few megabytes that say little of what they were made for, and on
another base they do not fail but babble. So everything that the file and the settings
beside it tell is compared with the base before a number is taken over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainer.bases import BaseSource
from trainer.checkpoint import CARD_FILE, RUN_FILE
from trainer.errors import CheckpointError
from trainer.glm import read_config
from trainer.language import say
from trainer.prefix import Prefix
from trainer.prefix_table import Shape, base_config, base_shape, moved, prefix_of
from trainer.weights import read_tensors, weight_files

OFFICIAL_FILES = ("pytorch_model.bin", "model.safetensors")
PEFT_CONFIG = "adapter_config.json"
PEFT_FILES = ("adapter_model.safetensors", "adapter_model.bin")

ENCODER = "transformer.prefix_encoder."
TABLE = "embedding.weight"
_PROJECTION = ("trans.0.weight", "trans.0.bias", "trans.2.weight", "trans.2.bias")
PEFT_TABLE = "prompt_embeddings"


class _Table(NamedTuple):
    """A prefix as a file holds it.

    Attributes:
        rows: ``[P, width]``.
        path: of the file.
        length: P, as the file's configuration has it, if it does.
        made_for: the shape that the configuration tells of, if it does.
    """

    rows: Tensor
    path: Path
    length: int | None
    made_for: Shape | None


# --- reading -------------------------------------------------------------------------------


def read_prefix(path: Path, source: BaseSource) -> Prefix:
    """Read an official ChatGLM checkpoint or a PEFT adapter.

    Args:
        path: the folder, or a file in it.
        source: the base that the prefix was trained on.

    Raises:
        CheckpointError: there is no prefix, or it was trained on another base.
        BaseModelError: a file is cut short, damaged, or wants to run code; or the base's
            configuration cannot be read.
    """
    folder = checkpoint_folder(path)
    config = base_config(source)
    shape = base_shape(config)
    if (folder / PEFT_CONFIG).is_file():
        table = _peft_table(folder)
        _refuse_misfit(table, shape, source)
        return prefix_of(table.rows, shape)
    _refuse_without(folder)
    table = _official_table(folder)
    if config.model_type != "glm":
        raise _other_base(
            table.path,
            zh=f"这是 ChatGLM 的前缀，而底座 {source.name} 是 {config.model_type}",
            en=f"this is a prefix of ChatGLM, but the base {source.name} is {config.model_type}",
        )
    _refuse_misfit(table, shape, source)
    return moved(prefix_of(table.rows, shape), config, len(table.rows))


def checkpoint_folder(path: Path) -> Path:
    """Return the folder of a checkpoint that is given by itself or by its file.

    Raises:
        CheckpointError: it is a file of another name, which no tool would read.
    """
    if not path.is_file():
        return path
    if path.name not in (*OFFICIAL_FILES, *PEFT_FILES, PEFT_CONFIG):
        raise _missing(path, zh="这个文件不叫检查点的名字", en="no checkpoint's file has this name")
    return path.parent


def _official_table(folder: Path) -> _Table:
    """Read the prefix encoder that the official trainer saves.

    A trainer that saves the whole model saves the base along, which the official code
    freezes as soon as there is a prefix; so, as the official ``web_demo`` does, the
    encoder's tensors are taken out.
    """
    tensors, path = _tensors(weight_files(folder))
    own = {
        name.removeprefix(ENCODER): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(ENCODER)
    }
    if not own:
        raise _not_a_prefix(path, sorted(tensors))
    told = read_config(folder)
    return _Table(_unfolded(own, path), path, _whole(told, "pre_seq_len"), _official_shape(told))


def _tensors(files: Sequence[Path]) -> tuple[dict[str, Tensor], Path]:
    """Return the tensors of some files and the place to speak of."""
    return {str(name): tensor for _, name, tensor in read_tensors(files)}, files[0]


def _unfolded(tensors: Mapping[str, Tensor], path: Path) -> Tensor:
    """Return the table that the encoder computes: with ``prefix_projection``, by two layers."""
    if set(tensors) == {TABLE}:
        return tensors[TABLE]
    if set(tensors) != {TABLE, *_PROJECTION}:
        raise _incomplete(path, tensors)
    first, first_bias, last, last_bias = (tensors[name] for name in _PROJECTION)
    linear = torch.nn.functional.linear
    try:
        return linear(torch.tanh(linear(tensors[TABLE], first, first_bias)), last, last_bias)
    except RuntimeError as error:  # their shapes do not fit each other
        raise _incomplete(path, tensors) from error


def _peft_table(folder: Path) -> _Table:
    """Read an adapter of PEFT's prefix tuning.

    PEFT saves what its encoder computes, so an adapter with ``prefix_projection`` is a plain
    table too. On a ChatGLM base it was trained on transformers' own GLM: the official code
    keeps its cache with other axes than PEFT fills it.
    """
    told = _adapter_config(folder / PEFT_CONFIG)
    kind = told.get("peft_type")
    if kind != "PREFIX_TUNING":
        raise CheckpointError(
            say(
                zh=f"这是 {kind} 适配器，不是 PREFIX_TUNING",
                en=f"this is an adapter of the type {kind}, not PREFIX_TUNING",
            ),
            path=folder / PEFT_CONFIG,
            fix=say(
                zh="只有 PEFT 的 prefix tuning 存的是每层的键和值",
                en="only PEFT's prefix tuning keeps keys and values of each layer",
            ),
            code="peft-type",
        )
    path = next((folder / name for name in PEFT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise CheckpointError(
            say(zh="适配器的权重不在这里", en="the adapter's weights are not here"),
            path=folder / PEFT_FILES[0],
            fix=say(zh="把它和 adapter_config.json 放在一起", en=f"put it beside {PEFT_CONFIG}"),
            code="prefix-missing",
        )
    tensors, _ = _tensors([path])
    others = sorted(set(tensors) - {PEFT_TABLE})
    if others or not tensors:
        raise _not_a_prefix(path, others)
    return _Table(
        tensors[PEFT_TABLE].float(), path, _whole(told, "num_virtual_tokens"), _peft_shape(told)
    )


def _adapter_config(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(told, dict):
        raise _unreadable(path, type(told).__name__)
    return told


def _official_shape(told: Mapping[str, Any]) -> Shape | None:
    """Return the shape that an official ``config.json`` tells of, ChatGLM-6B's included."""
    layers, queries = _whole(told, "num_layers"), _whole(told, "num_attention_heads")
    hidden = _whole(told, "hidden_size")
    if not (layers and queries and hidden):
        return None
    heads = _whole(told, "multi_query_group_num") or queries
    return Shape(layers, heads, _whole(told, "kv_channels") or hidden // queries)


def _peft_shape(told: Mapping[str, Any]) -> Shape | None:
    layers, heads = _whole(told, "num_layers"), _whole(told, "num_attention_heads")
    width = _whole(told, "token_dim")
    return Shape(layers, heads, width // heads) if layers and heads and width else None


def _whole(told: Mapping[str, Any], name: str) -> int | None:
    value = told.get(name)
    return value if isinstance(value, int) and value > 0 else None


# --- what is refused -----------------------------------------------------------------------


def _refuse_without(folder: Path) -> None:
    """Say what is wrong with a place that holds no official checkpoint either."""
    if not folder.is_dir():
        raise _missing(folder, zh="没有这个文件或文件夹", en="there is no such file or folder")
    if (folder / CARD_FILE).is_file() or (folder / RUN_FILE).is_file():
        raise CheckpointError(
            say(zh="这已经是 renshe 的检查点", en="this is a checkpoint of renshe already"),
            path=folder,
            fix=say(zh=f"不用导入：renshe chat {folder}", en=f"just use it: renshe chat {folder}"),
            code="prefix-own",
        )
    if any(any(folder.glob(f"{name}*")) for name in OFFICIAL_FILES):
        return
    steps = sorted(folder.glob("checkpoint-*"), key=lambda path: (len(path.name), path.name))
    if steps:
        raise CheckpointError(
            say(
                zh=f"这里是 {len(steps)} 个检查点的文件夹，不知道要哪一个",
                en=f"this folder holds {len(steps)} checkpoints, and which one is not said",
            ),
            path=folder,
            fix=say(zh=f"给出其中一个：{steps[-1]}", en=f"give one of them: {steps[-1]}"),
            code="prefix-which",
        )
    raise _missing(folder, zh="这里没有前缀检查点", en="there is no prefix checkpoint here")


def _refuse_misfit(table: _Table, shape: Shape, source: BaseSource) -> None:
    """Refuse a table that was not made for this shape, or that was spoilt in training."""
    found, rows = tuple(table.rows.shape), len(table.rows) if table.rows.dim() else 0
    fits = len(found) == 2 and rows > 0 and found[1] == shape.width
    if not fits or table.made_for not in (None, shape):
        raise _other_base(
            table.path,
            zh=f"前缀的形状是 {found}，底座 {source.name} 要 {(rows, shape.width)}（{shape}）；"
            + _origin(table, shape),
            en=f"the prefix has shape {found}, but the base {source.name} takes "
            f"{(rows, shape.width)} ({shape}); " + _origin(table, shape),
        )
    if table.length not in (None, rows):
        raise CheckpointError(
            say(
                zh=f"前缀有 {rows} 个位置，旁边的设置却写着 {table.length}",
                en=f"the prefix has {rows} positions, but the settings beside it say "
                f"{table.length}",
            ),
            path=table.path,
            fix=say(
                zh="设置文件和权重要出自同一次训练",
                en="the settings and the weights must be of one training",
            ),
            code="prefix-length",
        )
    wrong = int((~table.rows.isfinite()).sum())
    if wrong:
        raise CheckpointError(
            say(
                zh=f"前缀里有 {wrong:,} 个数不是有限数（NaN 或无穷）：那次训练发散了",
                en=f"{wrong:,} numbers of the prefix are NaN or infinite: its training diverged",
            ),
            path=table.path,
            fix=say(zh="用更早的检查点", en="use an earlier checkpoint"),
            code="prefix-not-finite",
        )


def _origin(table: _Table, shape: Shape) -> str:
    """Say what a table was made for, as far as its settings or its width tell."""
    if table.made_for is not None:
        return say(zh=f"它是给 {table.made_for} 做的", en=f"it was made for {table.made_for}")
    width = table.rows.shape[-1] if table.rows.dim() else 0
    layers, rest = divmod(width, shape.width // shape.layers)
    if rest or not layers:
        return say(
            zh="它的每一层和这个底座的不一样大",
            en="its layers are of another size than this base's",
        )
    return say(
        zh=f"按这个底座的层算，它是给 {layers} 层的",
        en=f"counted in layers of this base's size, it was made for {layers} layers",
    )


def _other_base(path: Path, *, zh: str, en: str) -> CheckpointError:
    return CheckpointError(
        say(zh=zh, en=en),
        path=path,
        fix=say(
            zh="--base 要是训练这个前缀时的底座", en="--base must be what the prefix was trained on"
        ),
        code="prefix-of-another-base",
    )


def _not_a_prefix(path: Path, others: list[str]) -> CheckpointError:
    names = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
    return CheckpointError(
        say(
            zh=f"这不是前缀检查点：里面有 {len(others)} 个别的张量（{names or '空'}）",
            en=f"this is no prefix checkpoint: it holds {len(others)} other tensors "
            f"({names or 'nothing'})",
        ),
        path=path,
        fix=say(
            zh="给出 ptuning/main.py 用 --pre_seq_len 存的 checkpoint-N，或 PEFT 的适配器文件夹",
            en="give the checkpoint-N that ptuning/main.py saved with --pre_seq_len, "
            "or PEFT's adapter folder",
        ),
        code="not-a-prefix",
    )


def _incomplete(path: Path, tensors: Mapping[str, Tensor]) -> CheckpointError:
    found = ", ".join(f"{name} {tuple(tensors[name].shape)}" for name in sorted(tensors))
    needed = ", ".join(_PROJECTION)
    return CheckpointError(
        say(
            zh=f"前缀编码器的张量不全或互相对不上：{found}",
            en=f"the prefix encoder's tensors are not all there, or do not fit: {found}",
        ),
        path=path,
        fix=say(
            zh=f"需要 {TABLE}，有 prefix_projection 时还要 {needed}；重新复制这个检查点",
            en=f"it needs {TABLE}, and with prefix_projection also {needed}; "
            "copy this checkpoint again",
        ),
        code="prefix-incomplete",
    )


def _missing(folder: Path, *, zh: str, en: str) -> CheckpointError:
    return CheckpointError(
        say(zh=zh, en=en),
        path=folder,
        fix=say(
            zh=f"需要有 {OFFICIAL_FILES[0]}（官方）或 {PEFT_CONFIG}（PEFT）的文件夹",
            en=f"it must be a folder with {OFFICIAL_FILES[0]} (official) or {PEFT_CONFIG} (PEFT)",
        ),
        code="prefix-missing",
    )


def _unreadable(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        say(zh=f"读不了：{reason}", en=f"cannot be read: {reason}"),
        path=path,
        fix=say(zh="重新复制这个文件", en="copy this file again"),
        code="prefix-settings",
    )
