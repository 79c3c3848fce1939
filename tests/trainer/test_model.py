import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.chat import Message
from trainer.checkpoint import open_checkpoint
from trainer.config import TrainConfig
from trainer.dataset import compile_persona
from trainer.errors import BaseModelError, CheckpointError, ConfigError
from trainer.model import Base, Tuned, load_base, load_tuned, pick_device
from trainer.persona import load_persona
from trainer.prefix import random_prefix, text_prefix
from trainer.train import Run

PERSONA = Path(__file__).parent.parent / "data" / "personas" / "good.yaml"


@pytest.fixture
def folder(tiny_base_folder: Path, tmp_path: Path) -> Path:
    """A copy of the Gemma folder, to be spoilt."""
    return shutil.copytree(tiny_base_folder, tmp_path / "base")


def load(folder: Path, **options: Any) -> Base:
    return load_base(str(folder), **{"bits": None, "device": "cpu"} | options)


def trained(base: Base, run: Path, rounds: int = 1) -> Path:
    """Train two steps on a set whose longest conversation has so many rounds."""
    persona = load_persona(PERSONA)
    config = TrainConfig(max_steps=2, per_device_train_batch_size=2)
    dataset = compile_persona(persona)
    long = replace(dataset.train[0], messages=dataset.train[0].messages[:2] * rounds)
    dataset = replace(dataset, train=(long, *(e for e in dataset.train if e.kind == "pair")))
    Run(base, persona, dataset, "data", config, run).train()
    return run


# --- a base -----------------------------------------------------------------------------------


def test_a_base_is_frozen_and_in_evaluation_mode(tiny_base: Base) -> None:
    assert not any(parameter.requires_grad for parameter in tiny_base.network.parameters())
    assert not tiny_base.network.training
    assert tiny_base.bits == 8 and tiny_base.device == torch.device("cpu")
    assert tiny_base.context == 512
    assert tiny_base.network.dtype == torch.float32


def test_the_chat_format_is_the_bases_own_unless_overruled(
    tiny_base: Base, llama_base: Base, llama_base_folder: Path
) -> None:
    assert tiny_base.chat.format.name == "plain"
    assert llama_base.chat.format.name == "jinja"
    assert load(llama_base_folder, chat_format="plain").chat.format.name == "plain"
    with pytest.raises(ConfigError, match="no chat format"):
        load(llama_base_folder, chat_format="chatml")


def test_progress_is_told(tiny_base_folder: Path) -> None:
    told: list[tuple[str, float]] = []
    load(tiny_base_folder, report=lambda stage, done: told.append((stage, done)))
    assert told[0] == ("loading the base", 0.0) and told[-1] == ("loading the base", 1.0)


@pytest.mark.parametrize("eos", [1, [1, 7, 9], None])
def test_a_reply_ends_at_the_formats_stop_and_the_models_own(
    dense_base: Base, monkeypatch: pytest.MonkeyPatch, eos: Any
) -> None:
    monkeypatch.setattr(dense_base.network.config, "eos_token_id", eos)
    assert dense_base.stop_ids == {1} | set(eos if isinstance(eos, list) else [])


def test_the_head_may_be_asked_for_some_words(dense_base: Base) -> None:
    states = torch.randn(2, 5, 32)
    words = torch.tensor([7, 3, 7])
    whole = dense_base.logits(states)
    assert whole.shape == (2, 5, 400) and whole.dtype == torch.float32
    some = dense_base.logits(states, words)
    assert torch.allclose(some, whole[..., words], atol=1e-6)


def test_soft_capped_logits_are_the_models_own(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["final_logit_softcapping"] = 0.5
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    base = load(folder)
    ids = torch.tensor([[5, 6, 7, 8]])
    theirs = base.network(input_ids=ids).logits
    ours = base.logits(base.hidden(ids, ids > 0, None))
    assert torch.allclose(theirs, ours, atol=1e-5)
    assert 0.3 < float(ours.abs().max()) <= 0.5


# --- what cannot be a base --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Tiny", "THUDM/chatglm2-6b", "", "no/where.gguf"])
def test_a_base_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no base called") as caught:
        load(tmp_path / name if not name else Path(name))
    assert "renshe bases" in str(caught.value)


def spoil(folder: Path, file: str, content: bytes | None) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", None),
        ("model.safetensors", b"x"),
        ("model.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "),
        ("config.json", b"{"),
        ("config.json", b"{}"),
        ("config.json", b'{"model_type": "nothing_known"}'),
        ("tokenizer.json", None),
        ("tokenizer.json", b"{"),
        ("tokenizer_config.json", b"{"),
    ],
)
def test_a_broken_folder_is_named(folder: Path, file: str, content: bytes | None) -> None:
    spoil(folder, file, content)
    with pytest.raises(BaseModelError) as caught:
        load(folder)
    assert str(folder) in str(caught.value) and "→" in str(caught.value)


def test_code_that_comes_with_a_base_is_never_run(folder: Path, tmp_path: Path) -> None:
    (folder / "modeling_own.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n", encoding="utf-8"
    )
    config = {
        "model_type": "own",
        "auto_map": {
            "AutoConfig": "modeling_own.Own",
            "AutoModelForCausalLM": "modeling_own.Own",
            "AutoTokenizer": ["modeling_own.Own", None],
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(BaseModelError, match="cannot read this base"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def granite() -> Any:
    """Its logits are divided by a number."""
    from transformers import GraniteConfig, GraniteForCausalLM

    return GraniteForCausalLM(
        GraniteConfig(**SIZES, num_key_value_heads=2, intermediate_size=64, logits_scaling=8.0)
    )


def llama4() -> Any:
    """Its chunked layers take masks of another kind."""
    from transformers import Llama4ForCausalLM, Llama4TextConfig

    return Llama4ForCausalLM(
        Llama4TextConfig(
            **SIZES,
            num_key_value_heads=2,
            head_dim=8,
            intermediate_size=64,
            intermediate_size_mlp=64,
            num_local_experts=2,
        )
    )


def bert() -> Any:
    """Every token sees those after it; the output layer has a network of its own."""
    from transformers import BertConfig, BertLMHeadModel

    return BertLMHeadModel(BertConfig(**SIZES, intermediate_size=64, is_decoder=True))


SIZES: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "eos_token_id": 1,
    "bos_token_id": 2,
    "pad_token_id": 0,
}


@pytest.mark.parametrize("make", [granite, llama4, bert])
def test_an_architecture_that_works_otherwise_is_refused(
    folder: Path, make: Callable[[], Any]
) -> None:
    for file in ("config.json", "model.safetensors"):
        (folder / file).unlink()
    torch.manual_seed(0)
    network = make()
    network.save_pretrained(folder)
    with pytest.raises(BaseModelError, match="architecture is not supported") as caught:
        load(folder)
    assert network.config.model_type in str(caught.value)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps", "cpu:1", ""])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(ConfigError, match="no device") as caught:
        pick_device(device)
    assert "auto or cpu" in str(caught.value)


def test_a_device_that_is_there() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError):
            pick_device("cuda")


# --- a tuned base -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tiny_base, tmp_path_factory.mktemp("runs") / "run", rounds=3)


def talk(rounds: int, text: str = "hi") -> list[Message]:
    roles: Any = ["user", "assistant"] * rounds
    return [Message(role, f"{text}{index}") for index, role in enumerate(roles[:-1])]


def test_a_tuned_base_is_as_it_was_trained(run: Path, tiny_base: Base) -> None:
    tuned = load_tuned(run, device="cpu")
    assert tuned.card == open_checkpoint(run).card
    assert tuned.base.bits == 8 and tuned.base.chat.format.name == "plain"
    for name, tensor in open_checkpoint(run).tensors().items():
        assert torch.equal(tuned.prefix.tensors()[name], tensor)
    assert not any(parameter.requires_grad for parameter in tuned.prefix.parameters())
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        one = tuned.base.hidden(ids, ids > 0, tuned.prefix)
        assert torch.equal(one, tiny_base.hidden(ids, ids > 0, tuned.prefix))


def test_bits_and_format_come_from_the_checkpoint(llama_base_folder: Path, tmp_path: Path) -> None:
    base = load_base(str(llama_base_folder), bits=4, device="cpu", chat_format="plain")
    tuned = load_tuned(trained(base, tmp_path / "run") / "checkpoint-2", device="cpu")
    assert tuned.base.bits == 4 and tuned.base.chat.format.name == "plain"


def test_a_base_whose_weights_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    """One number of the same file, of the same size and time."""
    run = trained(load(folder), tmp_path / "run")
    assert load_tuned(run, device="cpu").base.source.folder == folder
    weights = folder / "model.safetensors"
    content, status = bytearray(weights.read_bytes()), weights.stat()
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(CheckpointError, match="was trained on the base"):
        load_tuned(run, device="cpu")


def test_a_base_that_is_gone_is_named(folder: Path, tmp_path: Path) -> None:
    run = trained(load(folder), tmp_path / "run")
    shutil.rmtree(folder)
    with pytest.raises(BaseModelError) as caught:
        load_tuned(run, device="cpu")
    assert str(folder) in str(caught.value)


def test_the_window_is_the_trained_depth(run: Path) -> None:
    tuned = load_tuned(run, device="cpu")
    assert tuned.card.depth == 3
    for rounds in range(1, 8):
        messages = talk(rounds)
        kept = tuned.window(messages)
        assert kept == tuple(messages[-(2 * min(rounds, 3) - 1) :])


def test_the_window_fits_the_context(tiny_base: Base, run: Path) -> None:
    card = open_checkpoint(run).card.model_copy(update={"depth": 100})
    tuned = Tuned(tiny_base, text_prefix(tiny_base.network, [2] * 50), card)
    messages = talk(40, "word ")
    kept = tuned.window(messages, reserve=200)
    room = 512 - 50 - 200

    def size(messages: Any) -> int:
        return len(tiny_base.encode(messages, tuned.prefix).ids)

    assert 1 < len(kept) < len(messages) and len(kept) % 2 == 1
    assert size(kept) <= room < size(messages[-len(kept) - 2 :])
    # The question is never dropped, even alone it does not fit.
    assert tuned.window(messages, reserve=512) == tuple(messages[-1:])


# --- gradient checkpointing ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny_base", "llama_base"])
def test_recomputing_layers_changes_neither_states_nor_gradients(
    request: pytest.FixtureRequest, name: str
) -> None:
    base: Base = request.getfixturevalue(name)
    ids = torch.randint(3, 300, (2, 40), generator=torch.Generator().manual_seed(0))
    real = torch.ones_like(ids).bool()
    real[1, 30:] = False

    def run(recompute: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
        prefix = random_prefix(base.network, base.chat.opening() or [1], 7, seed=0)
        states = base.hidden(ids, real, prefix, recompute=recompute)
        torch.autograd.backward(states[real].square().sum())
        return states.detach(), [p.grad for p in prefix.parameters() if p.grad is not None]

    kept, again = run(False), run(True)
    assert torch.equal(kept[0], again[0])
    assert len(kept[1]) == len(again[1]) == 2 * base.network.config.num_hidden_layers
    assert all(
        torch.equal(a, b) and a.abs().max() > 0 for a, b in zip(kept[1], again[1], strict=True)
    )
    assert "forward" not in vars(base.network.base_model.layers[0])


def test_recomputing_layers_keeps_less_for_the_backward_pass(llama_base: Base) -> None:
    ids = torch.full((2, 40), 5)

    def saved(recompute: bool) -> int:
        prefix = random_prefix(llama_base.network, [1], 7, seed=0)
        kept: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            llama_base.hidden(ids, torch.ones_like(ids).bool(), prefix, recompute=recompute)
        return sum(kept.values())

    assert saved(True) < 0.5 * saved(False)
