"""An imported prefix becomes a run like any other, to talk to, to measure and to train on.

A checkpoint of another tool says nothing of the persona, the chat format or the depth it
was trained for, and a prefix is worth little without them. So whoever imports it says whose
it is, and the run is measured by that persona's own questions.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from trainer.bases import BaseSource, refuse_other_bits
from trainer.checkpoint import Card, RunIndex, library_versions, save_checkpoint, write_index
from trainer.config import TrainConfig
from trainer.dataset import compile_persona, write_dataset
from trainer.glm import read_config, stored_bits
from trainer.model import load_chat
from trainer.persona import Persona
from trainer.prefix import Prefix
from trainer.prefix_export import new_folder, refuse_taken
from trainer.prefix_files import checkpoint_folder, read_prefix
from trainer.quantize import Bits


def import_run(
    path: Path,
    source: BaseSource,
    persona: Persona,
    run: Path,
    *,
    bits: Bits | None,
    chat_format: str | None = None,
    depth: int | None = None,
    anchored: bool = False,
) -> Card:
    """Make a run folder of another tool's prefix.

    Args:
        path: an official ChatGLM checkpoint or a PEFT adapter.
        source: the base it was trained on.
        persona: whom it was trained to be.
        run: the folder to make.
        bits: of the base's weights from now on.
        chat_format: how its conversations were written; by default as the base's own.
        depth: most rounds in a conversation it was trained on; by default as many as in the
            persona's longest dialogue.
        anchored: it was trained on round one only, and is shown every question there.

    Returns:
        What the new checkpoint says of itself.

    Raises:
        CheckpointError: there is no prefix, it is of another base, or ``run`` is taken.
        ConfigError: there is no such chat format, or the base is stored in other bits.
        BaseModelError: a file is damaged or unsafe.
        DatasetError: the persona cannot be compiled.
    """
    refuse_taken(run)
    refuse_other_bits(source, bits)
    prefix = read_prefix(path, source)
    chat = load_chat(source, chat_format)
    dataset = compile_persona(persona)
    longest = max(len(example.messages) // 2 for example in dataset.train)
    settings = {
        "pre_seq_len": prefix.length,
        "quantization_bit": bits,
        "chat_format": chat_format,
    }
    card = Card(
        base=source.name,
        base_sha256=source.sha256,
        bits=bits,
        chat_format=chat.format.name,
        pre_seq_len=prefix.length,
        depth=depth or longest,
        anchored=anchored,
        settings=TrainConfig.model_validate(settings),
        persona=persona,
        dataset_sha256=dataset.digest(),
        step=0,
        dev_loss=None,
        versions=library_versions(),
        prefix_sha256="",
    )
    with new_folder(run) as making:
        write_dataset(dataset, making / "data")
        folder = save_checkpoint(making, card, prefix.tensors(), _untrained(prefix))
        write_index(making, RunIndex(best=folder.name, last=folder.name))
    return card


def likely_bits(path: Path, source: BaseSource) -> Bits:
    """Return the bits a base is to have under an imported prefix, unless the user says it.

    They are those it is stored in; else those that the official trainer packed it to, which
    is in the checkpoint's ``config.json``; else 8, next to lossless.
    """
    return source.bits or stored_bits(read_config(checkpoint_folder(path))) or 8


def _untrained(prefix: Prefix) -> dict[str, Tensor]:
    """Return the state of :class:`trainer.train.Run` before its first step, to resume from.

    Adam's averages are lost with the other tool, so they begin at zero.
    """
    state = {"numbers": torch.tensor([0, math.inf, 0, 0], dtype=torch.float64)}
    for name, tensor in prefix.tensors().items():
        state[f"step.{name}"] = torch.zeros(())
        state[f"exp_avg.{name}"] = torch.zeros_like(tensor)
        state[f"exp_avg_sq.{name}"] = torch.zeros_like(tensor)
    return state
