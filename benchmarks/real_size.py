"""ChatGLM2-6B at its true size with random weights: does it load and train in little memory?

``make bench-6b`` writes the official int4 folder (3.9 GB), and the half-precision shards
(12.5 GB) where the disk allows; loads each packed to int4, and trains two steps of one
conversation of 64 + 128 tokens with gradient checkpointing on the CPU.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.measure import measured
from trainer.quantize import quantize_rows

TOKENIZER = Path("tests/data/chatglm2/chatglm2-tiny")
GB = 1e9
SHARDS = 7
"""Files of the released chatglm2-6b."""
SHARDS_NEED = 30 * GB

CONFIG = {
    "model_type": "chatglm",
    "_name_or_path": "random weights in the shape of chatglm2-6b",
    "num_layers": 28,
    "padded_vocab_size": 65024,
    "hidden_size": 4096,
    "ffn_hidden_size": 13696,
    "kv_channels": 128,
    "num_attention_heads": 32,
    "multi_query_group_num": 2,
    "seq_length": 32768,
    "layernorm_epsilon": 1e-05,
    "add_qkv_bias": True,
    "torch_dtype": "float16",
    "eos_token_id": 2,
    "pad_token_id": 0,
}
"""Sizes of the released chatglm2-6b (its ``config.json``)."""


def main() -> None:
    """Write the folders, measure each in a process of its own, and print a table."""
    table = Table(
        *("stored", "GB", "load s", "peak GB loading", "s/step", "peak GB in all", "plan GB"),
        title="ChatGLM2-6B in int4, one conversation of 64 + 128 tokens a step",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = _int4_folder(Path(temporary) / "chatglm2-6b-int4")
        table.add_row(*_row("int4", folder))
        shutil.rmtree(folder)
        if shutil.disk_usage(temporary).free > SHARDS_NEED:
            table.add_row(*_row("float16", _half_folder(Path(temporary) / "chatglm2-6b")))
    Console().print(table)


def _row(stored: str, folder: Path) -> list[str]:
    size = sum(path.stat().st_size for path in folder.iterdir())
    figures = measured("benchmarks.real_size_run", str(folder))
    return [
        stored,
        f"{size / GB:.1f}",
        f"{figures['load_seconds']:.0f}",
        f"{figures['load_peak_mb'] * 2**20 / GB:.2f}",
        f"{figures['step_seconds']:.0f}",
        f"{figures['peak_mb'] * 2**20 / GB:.2f}",
        f"{figures['plan_bytes'] / GB:.2f}",
    ]


def _int4_folder(folder: Path) -> Path:
    """The official int4 layout: one file, packed linears, everything else in half precision."""
    tensors: dict[str, Tensor] = {}
    for _, name, tensor in _random_tensors():
        if tensor.dim() == 2 and ".layers." in name:
            tensors[name], tensors[f"{name}_scale"] = quantize_rows(tensor, 4)
        else:
            tensors[name] = tensor.half()
    _dress(folder, {**CONFIG, "quantization_bit": 4})
    save_file(tensors, folder / "model.safetensors")
    return folder


def _half_folder(folder: Path) -> Path:
    """The official half-precision layout: pickled shards and their index."""
    _dress(folder, CONFIG)
    where: dict[str, str] = {}
    for number, group in groupby(_random_tensors(), key=itemgetter(0)):
        file = f"pytorch_model-{number + 1:05d}-of-{SHARDS:05d}.bin"
        tensors = {name: tensor.half() for _, name, tensor in group}
        torch.save(tensors, folder / file)
        where |= dict.fromkeys(tensors, file)
    index = {"metadata": {}, "weight_map": where}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def _dress(folder: Path, config: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder)


def _random_tensors() -> Iterator[tuple[int, str, Tensor]]:
    """Yield shard, official name and weights of every tensor, shard after shard."""
    hidden, ffn, words = 4096, 13696, 65024
    qkv = hidden + 2 * 2 * 128
    yield 0, "transformer.embedding.word_embeddings.weight", _random(words, hidden)
    for layer in range(28):
        shard, at = layer * SHARDS // 28, f"transformer.encoder.layers.{layer}"
        yield shard, f"{at}.input_layernorm.weight", torch.ones(hidden)
        yield shard, f"{at}.self_attention.query_key_value.weight", _random(qkv, hidden)
        yield shard, f"{at}.self_attention.query_key_value.bias", torch.zeros(qkv)
        yield shard, f"{at}.self_attention.dense.weight", _random(hidden, hidden)
        yield shard, f"{at}.post_attention_layernorm.weight", torch.ones(hidden)
        yield shard, f"{at}.mlp.dense_h_to_4h.weight", _random(2 * ffn, hidden)
        yield shard, f"{at}.mlp.dense_4h_to_h.weight", _random(hidden, ffn)
    yield SHARDS - 1, "transformer.encoder.final_layernorm.weight", torch.ones(hidden)
    yield SHARDS - 1, "transformer.output_layer.weight", _random(words, hidden)


def _random(rows: int, columns: int) -> Tensor:
    return torch.empty(rows, columns).uniform_(-0.035, 0.035)


if __name__ == "__main__":
    main()
