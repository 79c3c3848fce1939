import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GlmConfig, GlmForCausalLM

from trainer.bases import find_base
from trainer.errors import BaseModelError, ConfigError
from trainer.glm import glm_config, is_official, official_chat_format, stored_bits, translated
from trainer.model import empty_network, load_base
from trainer.quantize import quantize_linears, quantize_rows

REF = Path(__file__).parents[2] / "tests" / "data" / "chatglm2"
TOLD: dict[str, Any] = json.loads((REF / "chatglm2-tiny" / "config.json").read_text("utf-8"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the official folder, to be spoilt."""
    return shutil.copytree(REF / "chatglm2-tiny", tmp_path / "chatglm2-tiny")


def configure(folder: Path, **changes: Any) -> Path:
    """Change ``config.json``; nothing takes a key out."""
    told = {key: value for key, value in (TOLD | changes).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


# --- the configuration -------------------------------------------------------------------------


def test_the_configuration_is_translated(folder: Path) -> None:
    config = glm_config(folder)
    assert config.vocab_size == 520
    assert config.hidden_size == 64
    assert config.intermediate_size == 128
    assert config.num_hidden_layers == 3
    assert config.num_attention_heads == 4
    assert config.num_key_value_heads == 2
    assert config.head_dim == 16
    assert config.rms_norm_eps == 1e-5
    assert config.attention_bias is True
    assert config.max_position_embeddings == 128
    assert (config.pad_token_id, config.eos_token_id) == (0, 2)
    assert config.tie_word_embeddings is False
    rope = config.rope_parameters
    assert (rope["rope_theta"], rope["partial_rotary_factor"]) == (10000.0, 0.5)


@pytest.mark.parametrize(
    ("official", "value", "name"),
    [
        ("layernorm_epsilon", 1e-6, "rms_norm_eps"),
        ("add_qkv_bias", False, "attention_bias"),
        ("seq_length", 32768, "max_position_embeddings"),
        ("kv_channels", 8, "head_dim"),
        ("ffn_hidden_size", 13696, "intermediate_size"),
    ],
)
def test_each_setting_has_its_counterpart(
    folder: Path, official: str, value: Any, name: str
) -> None:
    assert getattr(glm_config(configure(folder, **{official: value})), name) == value


def test_a_rope_ratio_of_one_is_none_at_all(folder: Path) -> None:
    assert glm_config(configure(folder, rope_ratio=1)).vocab_size == 520


SIZES = (
    *("hidden_size", "ffn_hidden_size", "num_layers", "num_attention_heads"),
    *("multi_query_group_num", "kv_channels", "padded_vocab_size", "seq_length"),
)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rope_ratio": 50}, "rope_ratio is 50: it has two meanings"),
        ({"position_encoding_2d": True}, "the first ChatGLM-6B"),
        ({"inner_hidden_size": 16384}, "the first ChatGLM-6B"),
        ({"post_layer_norm": False}, "post_layer_norm is False, only True"),
        ({"rmsnorm": False}, "rmsnorm is False"),
        ({"original_rope": False}, "original_rope is False"),
        ({"multi_query_attention": False}, "multi_query_attention is False"),
        ({"apply_residual_connection_post_layernorm": True}, "only False is supported"),
        ({"add_bias_linear": True}, "add_bias_linear is True"),
        ({"num_attention_heads": 5}, "5 is no multiple of multi_query_group_num 2"),
        *(({name: None}, f"missing, or no positive whole number: {name}") for name in SIZES),
        ({"hidden_size": "64"}, "no positive whole number: hidden_size"),
        ({"num_layers": 0}, "no positive whole number: num_layers"),
        ({"num_layers": True}, "no positive whole number: num_layers"),
    ],
)
def test_a_model_that_is_computed_otherwise_is_refused(
    folder: Path, changes: dict[str, Any], problem: str
) -> None:
    """Before anything is read, and whatever else the folder lacks."""
    configure(folder, **changes)
    (folder / "tokenizer.model").unlink()
    with pytest.raises(BaseModelError, match=re.escape(problem)) as caught:
        load_base(str(folder), bits=None, device="cpu")
    (fault,) = caught.value.faults
    assert fault.path == folder / "config.json" and "chatglm3-6b" in fault.fix


def test_all_refusals_come_at_once(folder: Path) -> None:
    configure(folder, rope_ratio=2, rmsnorm=False, num_layers=None, add_bias_linear=True)
    with pytest.raises(BaseModelError) as caught:
        glm_config(folder)
    assert len(caught.value.faults) == 4


def test_what_is_official() -> None:
    assert is_official(TOLD)
    assert not is_official({"model_type": "glm"}) and not is_official({})


@pytest.mark.parametrize(("told", "bits"), [(4, 4), (8, 8), (0, None), (None, None), (3, None)])
def test_the_bits_that_are_stored(told: Any, bits: Any) -> None:
    assert stored_bits({**TOLD, "quantization_bit": told}) == bits
    assert stored_bits(TOLD) is None


# --- the chat format ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer_config.json", b'{"additional_special_tokens": ["<|user|>"]}'),
        ("tokenization_chatglm.py", b'role_special_tokens = ["<|system|>", "<|user|>"]'),
        ("config.json", json.dumps({**TOLD, "_name_or_path": "THUDM/ChatGLM3-6b"}).encode()),
    ],
)
def test_chatglm3_is_told_by_its_own_files(folder: Path, file: str, content: bytes) -> None:
    assert official_chat_format(folder) == ("chatglm2", "no role tokens")
    (folder / file).write_bytes(content)
    name, reason = official_chat_format(folder)
    assert name == "chatglm3" and file in reason
    assert find_base(str(folder)).chat_format == "chatglm3"
    assert load_base(str(folder), bits=None, device="cpu").chat.format.name == "chatglm3"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"{"])
def test_a_file_that_tells_nothing_is_no_matter(folder: Path, content: bytes) -> None:
    (folder / "tokenizer_config.json").write_bytes(content)
    assert official_chat_format(folder)[0] == "chatglm2"
    assert load_base(str(folder), bits=None, device="cpu").chat.format.name == "chatglm2"


# --- names and shapes --------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_every_official_name_has_its_place(bits: Any) -> None:
    name = f"chatglm2-tiny-int{bits}" if bits else "chatglm2-tiny"
    source = find_base(str(REF / name))
    assert source.official and source.bits == bits
    network = empty_network(source)
    if bits:
        quantize_linears(network.to_empty(device="cpu"), bits, keep=network.lm_head)
    ours = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    stored = load_file(source.folder / "model.safetensors")
    theirs = [
        (new, tuple(part.shape))
        for key, tensor in stored.items()
        for new, part in translated(key, tensor, network.config)
    ]
    assert len(theirs) == len(set(theirs)) == len(ours)
    assert dict(theirs) == ours


def test_rotary_frequencies_are_computed_not_read() -> None:
    config = glm_config(REF / "chatglm2-tiny")
    assert not list(translated("transformer.rotary_pos_emb.inv_freq", torch.ones(4), config))


@pytest.mark.parametrize("name", ["stranger", "transformer.encoder.layers.0.mlp.gate.weight", ""])
def test_a_foreign_name_is_passed_on(name: str) -> None:
    tensor = torch.ones(2)
    assert list(translated(name, tensor, glm_config(REF / "chatglm2-tiny"))) == [(name, tensor)]


# --- there and back ----------------------------------------------------------------------------


def official_tensors(network: Any, bits: Any) -> dict[str, Tensor]:
    """Return a GLM's weights as the official code stores them, packed to ``bits`` if any."""
    own = dict(network.state_dict())
    outer = {
        "model.embed_tokens.weight": "transformer.embedding.word_embeddings.weight",
        "model.norm.weight": "transformer.encoder.final_layernorm.weight",
        "lm_head.weight": "transformer.output_layer.weight",
    }
    inner = {
        "self_attn.o_proj": "self_attention.dense",
        "mlp.gate_up_proj": "mlp.dense_h_to_4h",
        "mlp.down_proj": "mlp.dense_4h_to_h",
    }
    tensors = {theirs: own.pop(ours) for ours, theirs in outer.items()}
    for layer in range(network.config.num_hidden_layers):
        ours, theirs = f"model.layers.{layer}.", f"transformer.encoder.layers.{layer}."
        for leaf in ("weight", "bias"):
            fused = [own.pop(f"{ours}self_attn.{kind}_proj.{leaf}", None) for kind in "qkv"]
            if fused[0] is not None:
                tensors[f"{theirs}self_attention.query_key_value.{leaf}"] = torch.cat(fused)
        for norm in ("input_layernorm.weight", "post_attention_layernorm.weight"):
            tensors[theirs + norm] = own.pop(ours + norm)
        for part, official in inner.items():
            tensors[f"{theirs}{official}.weight"] = own.pop(f"{ours}{part}.weight")
    assert not own
    if bits:
        linear = [n for n in tensors if "layers" in n and n.endswith("weight") and "norm" not in n]
        for name in linear:
            tensors[name], tensors[f"{name}_scale"] = quantize_rows(tensors[name], bits)
    return tensors


def random_network(sizes: dict[str, Any], half: bool) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GlmConfig(
            vocab_size=sizes["padded_vocab_size"],
            hidden_size=sizes["hidden_size"],
            intermediate_size=sizes["ffn_hidden_size"],
            num_hidden_layers=sizes["num_layers"],
            num_attention_heads=sizes["num_attention_heads"],
            num_key_value_heads=sizes["multi_query_group_num"],
            head_dim=sizes["kv_channels"],
            rms_norm_eps=1e-5,
            attention_bias=sizes["add_qkv_bias"],
            max_position_embeddings=sizes["seq_length"],
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
            },
            tie_word_embeddings=False,
            pad_token_id=0,
            eos_token_id=2,
            attn_implementation="sdpa",
        )
        network = GlmForCausalLM(config)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, mean=float(parameter.dim() == 1), std=0.2)
            if half:
                parameter.data = parameter.data.half().float()
    return network.eval().requires_grad_(False)


@st.composite
def official_sizes(draw: st.DrawFn) -> dict[str, Any]:
    groups = draw(st.integers(1, 3))
    return {
        "num_layers": draw(st.integers(1, 3)),
        "hidden_size": draw(st.sampled_from([8, 12, 32])),
        "ffn_hidden_size": draw(st.sampled_from([8, 14])),
        "multi_query_group_num": groups,
        "num_attention_heads": groups * draw(st.integers(1, 3)),
        "kv_channels": draw(st.sampled_from([4, 8, 20])),
        "padded_vocab_size": draw(st.sampled_from([516, 520, 777])),
        "seq_length": draw(st.sampled_from([64, 200])),
        "add_qkv_bias": draw(st.booleans()),
    }


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=official_sizes(),
    half=st.booleans(),
    bits=st.sampled_from([None, None, 8, 4]),
    kind=st.sampled_from(["safetensors", "bin"]),
    ids=st.lists(st.integers(0, 515), min_size=2, max_size=12),
)
def test_any_size_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: dict[str, Any],
    half: bool,
    bits: Any,
    kind: str,
    ids: list[int],
) -> None:
    """A GLM written in the official layout and loaded again says the same, bit for bit."""
    network = random_network(sizes, half)
    folder = tmp_path_factory.mktemp("official")
    configure(folder, **sizes, quantization_bit=bits)
    shutil.copy(REF / "chatglm2-tiny" / "tokenizer.model", folder)
    tensors = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor
        for name, tensor in official_tensors(network, bits).items()
    }
    if kind == "safetensors":
        save_file(tensors, folder / "model.safetensors")
    else:
        torch.save(tensors, folder / "pytorch_model.bin")
    base = load_base(str(folder), bits=bits, device="cpu")
    if bits:
        quantize_linears(network, bits, keep=network.lm_head)
    assert base.context == sizes["seq_length"] and base.vocabulary == sizes["padded_vocab_size"]
    row = torch.tensor([ids])
    with torch.no_grad():
        ours = base.logits(base.hidden(row, torch.ones_like(row).bool(), None))
        theirs = network(input_ids=row).logits
    assert torch.equal(ours, theirs)
    shutil.rmtree(folder)


@pytest.mark.parametrize(("stored", "asked"), [(4, 8), (8, 4), (4, None)])
def test_packed_weights_cannot_become_other_bits(tmp_path: Path, stored: int, asked: Any) -> None:
    folder = shutil.copytree(REF / f"chatglm2-tiny-int{stored}", tmp_path / "base")
    shutil.copy(REF / "chatglm2-tiny" / "tokenizer.model", folder)
    with pytest.raises(ConfigError, match=f"stored in int{stored} and cannot become") as caught:
        load_base(str(folder), bits=asked, device="cpu")
    assert caught.value.faults[0].fix == f"--bits {stored}"
    assert load_base(str(folder), bits=stored, device="cpu").bits == stored  # type: ignore[arg-type]
