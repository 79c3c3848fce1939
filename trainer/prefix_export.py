"""Writes a prefix for other tools: the official ChatGLM code, and PEFT.

A persona is not to be tied to the tool that trained it. Neither layout has room for the
persona, the chat format or the settings: those stay with the run.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from trainer.bases import BaseSource
from trainer.errors import CheckpointError, TrainingError
from trainer.glm import read_config
from trainer.language import say
from trainer.prefix import Prefix
from trainer.prefix_files import ENCODER, OFFICIAL_FILES, PEFT_CONFIG, PEFT_FILES, PEFT_TABLE, TABLE
from trainer.prefix_table import base_config, moved, table_of


def write_official(prefix: Prefix, source: BaseSource, folder: Path) -> None:
    """Write what the official trainer saves, for the official ``web_demo`` and ``main.py``.

    A prefix trained with a projection comes back without one: what the projection computes
    is all that a model sees of it.

    Args:
        prefix: trained on ``source``.
        source: a base in the official layout; its ``config.json`` is written along.
        folder: must not be there yet, or be empty.

    Raises:
        CheckpointError: the base is not ChatGLM's, or ``folder`` is taken or cannot be written.
    """
    if not source.official:
        raise CheckpointError(
            say(
                zh=f"底座 {source.name} 不是官方的 ChatGLM 文件夹，官方代码用不了它的前缀",
                en=f"the base {source.name} is no official ChatGLM folder: the official code "
                "has no use for its prefix",
            ),
            path=source.folder,
            fix="--to peft",
            code="not-chatglm",
        )
    table = table_of(moved(prefix, base_config(source), -prefix.length))
    weights = io.BytesIO()
    torch.save({f"{ENCODER}{TABLE}": table}, weights)
    config = read_config(source.folder)
    config |= {"pre_seq_len": prefix.length, "prefix_projection": False}
    with new_folder(folder) as making:
        (making / OFFICIAL_FILES[0]).write_bytes(weights.getvalue())
        (making / "config.json").write_bytes(_json(config))


def write_peft(prefix: Prefix, source: BaseSource, folder: Path) -> None:
    """Write an adapter as PEFT's ``PeftModel.from_pretrained`` loads it.

    Args:
        prefix: trained on ``source``.
        source: its base.
        folder: must not be there yet, or be empty.

    Raises:
        CheckpointError: ``folder`` is taken or cannot be written.
    """
    from safetensors.torch import save

    heads, _, size = prefix.keys[0].shape
    config = {
        "peft_type": "PREFIX_TUNING",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(source.folder),
        "inference_mode": True,
        "num_virtual_tokens": prefix.length,
        "num_layers": len(prefix.keys),
        # PEFT means the heads of keys and values by this, and their channels by token_dim.
        "num_attention_heads": heads,
        "token_dim": heads * size,
        "num_transformer_submodules": 1,
        "encoder_hidden_size": heads * size,
        "prefix_projection": False,
    }
    with new_folder(folder) as making:
        (making / PEFT_FILES[0]).write_bytes(save({PEFT_TABLE: table_of(prefix).contiguous()}))
        (making / PEFT_CONFIG).write_bytes(_json(config))


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside ``folder`` that takes its place once all is written.

    Raises:
        CheckpointError: something is there already, or it cannot be written.
    """
    refuse_taken(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = folder.parent / f".making-{folder.name}-{os.getpid()}"
        making.mkdir()
        try:
            yield making
            making.replace(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    except (OSError, TrainingError) as error:
        # What a checkpoint says of a full disk speaks of --resume, and here is nothing to resume.
        told = say(zh=f"写不进去：{error}", en=f"cannot be written: {error}")
        raise CheckpointError(
            error.problem if isinstance(error, TrainingError) else told,
            path=folder,
            fix=say(zh="腾出空间，或换一个 --out", en="make room, or give another --out"),
            code="disk",
        ) from error


def refuse_taken(folder: Path) -> None:
    """Refuse to write where something is already.

    Raises:
        CheckpointError: ``folder`` is a file, or holds something.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise CheckpointError(
            say(zh="这里已经有东西", en="there is something here already"),
            path=folder,
            fix=say(zh="换一个 --out", en="give another --out"),
            code="out-exists",
        )


def _json(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, ensure_ascii=False, indent=2)}\n".encode()
