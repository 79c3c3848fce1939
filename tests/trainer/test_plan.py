import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import GlmConfig

from bot.cli import main
from trainer.bases import find_base
from trainer.batches import Batch
from trainer.cards import CARDS, card_bytes
from trainer.chat import IGNORE
from trainer.config import TrainConfig
from trainer.errors import BaseModelError, ConfigError
from trainer.head import SampledHead, full_loss
from trainer.model import load_base
from trainer.plan import (
    PROCESS,
    TOKENIZER_WORD,
    Account,
    Shape,
    longest,
    measure,
    memory,
    most_work,
    read_base_config,
)
from trainer.prefix import counted, text_prefix
from trainer.rehearsal import Allocations, nbytes, without_numbers
from trainer.training_set import load_training_set

ROOT = Path(__file__).parents[2]
REF = ROOT / "tests" / "data" / "chatglm2"
GOOD = ROOT / "tests" / "data" / "personas" / "good.yaml"
SIX_B = GlmConfig(
    vocab_size=65024,
    hidden_size=4096,
    intermediate_size=13696,
    num_hidden_layers=28,
    num_attention_heads=32,
    num_key_value_heads=2,
    head_dim=128,
    attention_bias=True,
    pad_token_id=0,
    eos_token_id=2,
)
SHORT = TrainConfig(
    max_source_length=64,
    max_target_length=128,
    per_device_train_batch_size=1,
    pre_seq_len=128,
    gradient_checkpointing=True,
)


@pytest.fixture(scope="module")
def six_b() -> Account:
    return memory(SIX_B, 4, SHORT, "cpu", stored_half=True)


# --- the account -------------------------------------------------------------------------------


def test_the_weights_of_chatglm2_6b_are_counted_exactly(six_b: Account) -> None:
    linear = 28 * (4096 * (4096 + 2 * 256) + 4096 * 4096 + 4096 * 2 * 13696 + 13696 * 4096)
    rows = 28 * (4096 + 2 * 256 + 4096 + 2 * 13696 + 4096)
    assert six_b.linear_layers == linear // 2 and six_b.row_scales == 2 * rows
    assert six_b.embedding == six_b.output_layer == 65024 * 4096 * 2
    assert six_b.prefix == 28 * 2 * 2 * 128 * 128 * 4 and six_b.optimizer == 3 * six_b.prefix
    assert six_b.process == PROCESS["cpu"] + 65024 * TOKENIZER_WORD
    assert six_b.total == sum(six_b.parts.values())


def test_the_recipe_of_the_official_script_takes_five_gigabytes(six_b: Account) -> None:
    assert 4.8e9 < six_b.total < 6.0e9


def test_recomputing_layers_takes_far_less() -> None:
    shape = replace(longest(SHORT), dev=0)
    kept = SHORT.model_copy(update={"gradient_checkpointing": False})
    shallow = GlmConfig(**{**SIX_B.to_dict(), "num_hidden_layers": 8})
    small, large = (
        memory(shallow, 4, config, "cpu", stored_half=True, shape=shape) for config in (SHORT, kept)
    )
    assert small.moment == "step" and large.activations > 5 * small.activations
    # The largest layer, dense in float32 and as whole numbers of int8.
    assert small.unpacked_layer == 2 * 13696 * 4096 * 5


def small_glm(layers: int, hidden: int) -> GlmConfig:
    return GlmConfig(
        vocab_size=64,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        pad_token_id=0,
    )


@settings(max_examples=3, deadline=None)
@given(
    layers=st.integers(1, 3),
    hidden=st.sampled_from([16, 32]),
    bits=st.sampled_from([4, 8, None]),
    rows=st.integers(1, 3),
)
def test_more_of_anything_never_takes_less(layers: int, hidden: int, bits: int, rows: int) -> None:
    config = SHORT.model_copy(update={"per_device_train_batch_size": rows, "pre_seq_len": 4})
    wider = config.model_copy(update={"per_device_train_batch_size": rows + 1})

    def total(deep: int, width: int, batch: TrainConfig) -> int:
        return memory(small_glm(deep, width), bits, batch, "cpu", stored_half=False).total

    here = total(layers, hidden, config)
    assert here < total(layers + 1, hidden, config)
    assert here < total(layers, 2 * hidden, config)
    assert here <= total(layers, hidden, wider)


@pytest.mark.parametrize("bits", [4, 8, None])
def test_a_plan_holds_what_a_loaded_base_holds(bits: int | None) -> None:
    folder = REF / "chatglm2-tiny"
    base = load_base(str(folder), bits=bits, device="cpu")
    config = read_base_config(find_base(str(folder)))
    account = memory(config, bits, SHORT, "cpu", stored_half=False)
    storages = {
        tensor.untyped_storage().data_ptr(): nbytes(tensor)
        for tensor in [*base.network.parameters(), *base.network.buffers()]
    }
    parts = ("linear_layers", "row_scales", "embedding", "output_layer", "norms")
    assert sum(account.parts[name] for name in parts) == sum(storages.values())


@pytest.mark.parametrize("folder", ["tiny_base_folder", "llama_base_folder"])
def test_any_architecture_is_planned_for(folder: str, request: pytest.FixtureRequest) -> None:
    source = find_base(str(request.getfixturevalue(folder)))
    config = read_base_config(source)
    on_cpu, on_cuda = (
        memory(config, 8, SHORT, device, stored_half=False) for device in ("cpu", "cuda")
    )
    assert on_cpu.activations > on_cuda.activations > 0
    # Gemma's embedding has a factor of four bytes besides.
    assert 0 <= 2 * on_cuda.embedding - on_cpu.embedding <= 4
    tied = config.tie_word_embeddings
    assert on_cpu.output_layer == (0 if tied else on_cpu.embedding)


def side_by_side(ids: Tensor, targets: Tensor) -> Batch:
    real = torch.ones_like(ids).bool()
    one = torch.ones_like(ids)
    return Batch(ids, real, targets, counted(real), torch.stack([one, one], dim=1), history=0)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("sample", [0, 100])
@pytest.mark.parametrize("bits", [4, None])
def test_the_rehearsal_allocates_what_a_real_step_does(
    bits: Any, sample: int, recompute: bool
) -> None:
    folder = str(REF / "chatglm2-tiny")
    base = load_base(folder, bits=bits, device="cpu")
    rows, tokens, learnt, words = 3, 60, 40, 200
    ids = torch.randint(3, words, (rows, tokens))
    targets = ids.clone()
    targets[:, : tokens - learnt] = IGNORE
    batch = side_by_side(ids, targets)
    prefix = text_prefix(base.network, [5] * 8)
    for parameter in prefix.parameters():
        parameter.grad = torch.zeros_like(parameter)
    head = SampledHead(base, range(words), sample, 0, recompute=recompute)
    with Allocations(lambda _sources, _made: "all") as made:
        torch.autograd.backward(head.loss(batch, prefix, 0))
    config = TrainConfig(head_sample=sample, gradient_checkpointing=recompute)
    shape = Shape(rows, tokens, rows * learnt, words=words, pre_seq_len=8, dev=0)
    known = read_base_config(find_base(folder))
    account = memory(known, bits, config, "cpu", stored_half=False, shape=shape)
    parts = ("activations", "keys_values", "unpacked_layer", "head")
    assert sum(account.parts[name] for name in parts) == pytest.approx(made.peak["all"], rel=0.02)


def test_the_rehearsal_allocates_what_a_real_dev_loss_does() -> None:
    folder = str(REF / "chatglm2-tiny")
    base = load_base(folder, bits=8, device="cpu")
    ids = torch.full((16, 50), 5)
    batch = side_by_side(ids, ids)
    prefix = text_prefix(base.network, [5] * 8)
    with Allocations(lambda _sources, _made: "all") as made:
        full_loss(base, batch, prefix)
    shape = Shape(1, 2, 2, words=9, pre_seq_len=8, dev=16, dev_tokens=50)
    known = read_base_config(find_base(folder))
    account = memory(known, 8, TrainConfig(), "cpu", stored_half=False, shape=shape)
    parts = ("activations", "keys_values", "unpacked_layer", "head")
    assert account.moment == "dev"
    assert sum(account.parts[name] for name in parts) == pytest.approx(made.peak["all"], rel=0.02)


def test_allocations_end_with_their_tensors() -> None:
    with without_numbers(), Allocations(lambda _sources, made: str(made.dtype)) as made:
        first = torch.empty(1000)
        view = first[:10]
        del first
        whole = torch.empty(500, dtype=torch.int8)
        del view, whole
        torch.empty(10)
    assert made.peak == {"torch.float32": 4000, "torch.int8": 500}


# --- work and cards ----------------------------------------------------------------------------


def test_the_data_gives_the_epochs_and_the_lengths() -> None:
    chat = load_base(str(REF / "chatglm2-tiny"), bits=None, device="cpu").chat
    config = TrainConfig(max_steps=10, per_device_train_batch_size=2)
    shape, work = measure(load_training_set(GOOD), chat, config)
    # Five examples are three batches, and a batch is packed into one sequence.
    assert shape.rows == 1 and work.epochs == 10 / 3
    assert 0 < shape.tokens < config.max_source_length
    assert 0 < shape.targets < shape.rows * shape.tokens
    assert work.hours(work.tokens / 3600) == 1.0
    assert most_work(config).tokens > work.tokens and most_work(config).epochs is None


@pytest.mark.parametrize(
    ("card", "size"),
    [("3090", 24), ("RTX 3090", 24), ("nvidia t4", 16), ("A100 80GB", 80), ("a100-40", 40),
     ("24GB", 24), ("24 gb", 24), ("7.5GB", 7.5), ("2080 Ti", 11), *CARDS.items()],
)  # fmt: skip
def test_cards_are_known_by_name_or_size(card: str, size: float) -> None:
    assert card_bytes(card) == size * 10**9


@pytest.mark.parametrize(
    ("card", "said"), [("V100", "V100-16, V100-32"), ("banana", "24GB"), ("", "24GB"), ("-1", "T4")]
)
def test_an_unknown_card_is_refused_with_the_known_ones(card: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        card_bytes(card)
    assert said in str(caught.value)


# --- the command -------------------------------------------------------------------------------

Renshe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def renshe(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Renshe:
    """``renshe plan`` for a folder that holds nothing but the 6B model's ``config.json``."""
    told = json.loads((REF / "chatglm2-tiny" / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(told))

    def run(*arguments: object) -> tuple[int, str, str]:
        words = ["plan", "--base", tmp_path, *arguments]
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


def test_a_config_is_enough(renshe: Renshe) -> None:
    code, out, err = renshe("--bits", "4", "--device", "cpu", "--set", "pre_seq_len=8")
    assert code == 0, err
    for part in ("linear layers", "scales", "embedding", "Adam", "activations", "cache", "logits"):
        assert part in out
    assert "gradient_checkpointing=true: " in out and "a measured constant" in out
    assert "steps are known with --data" in out


def test_a_card_hours_and_cost(renshe: Renshe) -> None:
    options = ("--set", "max_steps=100", "--speed", "1000", "--price", "2")
    code, out, err = renshe("--bits", "8", "--card", "3060", *options)
    assert code == 0, err
    assert "3060: fits, " in out and "not measured on a card" in out
    # 100 steps of 8 x 1536 tokens at 1000 a second.
    assert "at most 0.34 hours, cost 0.68" in out
    assert "0.1 GB: 0." in renshe("--bits", "8", "--card", "0.1 GB")[1]
    assert "cards that hold it: 2080Ti, 3060, T4" in renshe("--device", "cuda")[1]


def test_data_gives_epochs(renshe: Renshe, tmp_path: Path) -> None:
    for name in ("tokenizer.model", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((REF / "chatglm2-tiny" / name).read_bytes())
    code, out, err = renshe("--data", GOOD, "--device", "cpu", "--set", "max_steps=10")
    assert code == 0, err
    assert "the data's largest batch: 1 x " in out and "10 steps, 10.0 epochs, " in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--price", "1.2"], "--speed"),
        (["--speed", "0"], "--speed"),
        (["--speed", "nan"], "--speed"),
        (["--card", "banana"], "24GB"),
        (["--device", "tpu"], "--device cuda"),
        (["--device", "cpu", "--card", "T4"], "--device cuda"),
        (["--bits", "3"], "none"),
        (["--persona", GOOD], "--data"),
        (["--set", "learning_rat=1"], "learning_rate"),
        (["--data", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_is_wrong_is_told(renshe: Renshe, options: list[object], said: str) -> None:
    code, _, err = renshe(*options)
    assert code == 2 and said in err and "→" in err and "Traceback" not in err


def test_packed_weights_keep_their_bits(capsys: pytest.CaptureFixture[str]) -> None:
    base = ("plan", "--base", str(REF / "chatglm2-tiny-int4"), "--device", "cpu")
    assert main([*base]) == 0 and "bits 4" in capsys.readouterr().out
    assert main([*base, "--bits", "8"]) == 2 and "--bits 4" in capsys.readouterr().err


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "banana"}')
    with pytest.raises(BaseModelError) as caught:
        read_base_config(find_base(str(tmp_path)))
    assert "banana" in str(caught.value)


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys; from bot.cli import main; main(['plan', '--help']); "
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "RENSHE_LANG": "en"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "set()" and "TOKENS/S" in done.stdout
