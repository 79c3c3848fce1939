"""Against the outputs of the official ChatGLM2 code (tests/data/chatglm2)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from trainer import generate
from trainer.chat import Encoded, Message
from trainer.model import Base, load_base
from trainer.quantize import dequantize_rows
from trainer.sampling import Sampling

REFERENCE = Path(__file__).parents[1] / "data" / "chatglm2"
NEW = 12
"""Tokens that the official code was asked for."""


@pytest.fixture(scope="module")
def official() -> dict[str, Tensor]:
    return load_file(REFERENCE / "expected.safetensors")


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base(str(REFERENCE / "chatglm2-tiny"), bits=None, device="cpu")


def packed_folder(folder: Path, bits: int) -> Path:
    """An official packed folder; the tokenizer lies beside the weights, as in the released ones."""
    for name in ("config.json", "model.safetensors"):
        shutil.copy(REFERENCE / f"chatglm2-tiny-int{bits}" / name, folder)
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(REFERENCE / "chatglm2-tiny" / name, folder)
    return folder


def logits(base: Base, ids: Tensor, real: Tensor) -> Tensor:
    with torch.no_grad():
        return base.logits(base.hidden(ids, real, None))


def test_one_prompt(base: Base, official: dict[str, Tensor]) -> None:
    real = official["mask"][0].bool()
    ids = official["ids"][:1, real]
    ours = logits(base, ids, torch.ones_like(ids).bool())
    expected = official["base.logits_single"]
    assert torch.allclose(ours, expected[:, -ids.shape[1] :], atol=1e-5)


def test_a_batch_padded_on_the_left(base: Base, official: dict[str, Tensor]) -> None:
    real = official["mask"].bool()
    assert not real.all()
    ours = logits(base, official["ids"], real)
    assert torch.allclose(ours[real], official["base.logits_batch"][real], atol=1e-5)


def test_a_batch_padded_on_the_right(base: Base, official: dict[str, Tensor]) -> None:
    ids = official["tr_ids"]
    real = ids != 0
    ours = logits(base, ids, real)
    assert torch.allclose(ours[real], official["base.logits_train_eval"][real], atol=1e-5)


@pytest.mark.parametrize("name", ["single", "batch"])
def test_greedy_decoding(base: Base, official: dict[str, Tensor], name: str) -> None:
    rows = official["mask"].bool()[:1] if name == "single" else official["mask"].bool()
    prompts = [ids[real].tolist() for ids, real in zip(official["ids"], rows, strict=False)]
    replies = greedy(base, prompts)
    assert replies == [new_tokens(row) for row in official[f"base.gen_{name}"].tolist()]
    assert all(replies)


def test_beam_search(base: Base, official: dict[str, Tensor]) -> None:
    """Renshe decodes greedily or draws; the network under it takes transformers' beams too."""
    made = base.network.generate(
        official["ids"],
        attention_mask=official["mask"],
        num_beams=3,
        do_sample=False,
        max_new_tokens=NEW,
    )
    expected = official["base.gen_beam3"].tolist()
    assert [new_tokens(row) for row in made.tolist()] == [new_tokens(row) for row in expected]


def greedy(base: Base, prompts: list[list[int]]) -> list[list[int]]:
    replies: list[list[int]] = [[] for _ in prompts]
    encoded = [Encoded(ids, []) for ids in prompts]
    for tokens in generate._decode(base, None, encoded, Sampling(max_new_tokens=NEW)):
        for reply, token in zip(replies, tokens, strict=True):
            reply += [] if token is None else [token]
    return replies


def new_tokens(row: list[int]) -> list[int]:
    """What was added to a prompt of 11 ids, up to the end of the reply."""
    new = row[11:]
    return new[: new.index(2)] if 2 in new else new


def test_a_chat_with_history_is_the_official_flow(base: Base) -> None:
    """The web demo's: rounds as one text, greedy tokens up to the end, decoded and stripped."""
    told = json.loads((REFERENCE / "tokenizer_expected.json").read_text("utf-8"))["tiny"]
    (ask, answer), query = told["chat2_history"][0], told["chat2_query"]
    talk = (Message("user", ask), Message("assistant", answer), Message("user", query))
    ids = torch.tensor([told["chat2_ids"]])
    made = base.network.generate(ids, do_sample=False, max_new_tokens=NEW)[0, ids.shape[1] :]
    expected = base.chat.tokenizer.decode(made.tolist()).strip()
    ((_, reply),) = generate.reply_batch(base, None, [talk], sampling=Sampling(max_new_tokens=NEW))
    stop = base.chat.format.stop_texts
    assert expected and reply == expected.split(stop[0])[0].strip()


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_weights_unpack_bit_for_bit(tmp_path: Path, bits: Any) -> None:
    base = load_base(str(packed_folder(tmp_path, bits)), bits=bits, device="cpu")
    layer = base.network.model.layers[0].mlp.gate_up_proj
    expected = load_file(REFERENCE / "expected_quant.safetensors")[f"int{bits}.dequant"]
    ours = dequantize_rows(layer.weight, layer.weight_scale, bits, torch.float32)
    assert torch.equal(ours, expected)
