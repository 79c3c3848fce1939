import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.bases import BaseSource, find_base
from trainer.errors import BaseModelError, CheckpointError, RensheError
from trainer.model import Base, load_base
from trainer.prefix import Prefix, text_prefix
from trainer.prefix_export import write_official, write_peft
from trainer.prefix_files import read_prefix
from trainer.prefix_table import Shape, base_config, base_shape, moved, prefix_of, table_of

REF = Path(__file__).parents[2] / "tests" / "data" / "chatglm2"
PLAIN, PROJECTED = REF / "ptuning-checkpoint", REF / "ptuning-checkpoint-proj"
NAME = "transformer.prefix_encoder.embedding.weight"


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return load_file(REF / "expected.safetensors")


@pytest.fixture(scope="module")
def glm() -> Base:
    return load_base(str(REF / "chatglm2-tiny"), bits=None, device="cpu")


def source_of(folder: Path) -> BaseSource:
    return find_base(str(folder))


def logits(base: Base, prefix: Prefix, ids: Tensor, real: Tensor) -> Tensor:
    return base.logits(base.hidden(ids, real.bool(), prefix))


def loss_of(base: Base, prefix: Prefix, expected: dict[str, Tensor]) -> Tensor:
    """The official loss: padding on the right is not masked, only not asked for."""
    scores = logits(base, prefix, expected["tr_ids"], torch.ones_like(expected["tr_ids"]))
    return torch.nn.functional.cross_entropy(
        scores[:, :-1].flatten(0, 1), expected["tr_lab"][:, 1:].flatten(), ignore_index=-100
    )


def official_gradient(base: Base, prefix: Prefix) -> Tensor:
    """The gradient by the official table: the map to it is orthogonal, so it maps alike."""
    own: Any = [parameter.grad for parameter in [*prefix.keys, *prefix.values]]
    layers = len(prefix.keys)
    gradient = Prefix(own[:layers], own[layers:])
    return table_of(moved(gradient, base.network.config, -prefix.length))


# --- what the official code computes ----------------------------------------------------------


@pytest.mark.parametrize(("folder", "tag"), [(PLAIN, "prefix"), (PROJECTED, "prefix_proj")])
def test_an_imported_prefix_gives_the_official_logits(
    glm: Base, expected: dict[str, Tensor], folder: Path, tag: str
) -> None:
    prefix = read_prefix(folder, glm.source)
    ids, mask = expected["ids"], expected["mask"]
    with torch.no_grad():
        single = logits(glm, prefix, ids[:1], mask[:1])
        batch = logits(glm, prefix, ids, mask)
        train = logits(glm, prefix, expected["tr_ids"], torch.ones_like(expected["tr_ids"]))
    real = mask[0].bool()
    assert torch.allclose(single[0, real], expected[f"{tag}.logits_single"][0, real], atol=1e-5)
    real = mask.bool()
    assert torch.allclose(batch[real], expected[f"{tag}.logits_batch"][real], atol=1e-5)
    assert torch.allclose(train, expected[f"{tag}.logits_train_eval"], atol=1e-5)
    # The prefix is what makes the difference.
    assert not torch.allclose(batch[real], expected["base.logits_batch"][real], atol=1e-2)


@pytest.mark.parametrize(("folder", "tag"), [(PLAIN, "prefix"), (PROJECTED, "prefix_proj")])
def test_an_imported_prefix_gives_the_official_loss(
    glm: Base, expected: dict[str, Tensor], folder: Path, tag: str
) -> None:
    prefix = read_prefix(folder, glm.source)
    assert torch.allclose(loss_of(glm, prefix, expected), expected[f"{tag}.loss"], atol=1e-5)


def test_an_imported_prefix_gives_the_official_gradient(
    glm: Base, expected: dict[str, Tensor]
) -> None:
    prefix = read_prefix(PLAIN, glm.source)
    torch.autograd.backward(loss_of(glm, prefix, expected))
    theirs = expected["prefix.grad.embedding.weight"]
    assert float(theirs.abs().max()) > 1e-3
    assert torch.allclose(official_gradient(glm, prefix), theirs, atol=1e-4 * theirs.abs().max())


@pytest.mark.parametrize(("folder", "tag"), [(PLAIN, "prefix"), (PROJECTED, "prefix_proj")])
def test_an_imported_prefix_says_what_the_official_one_says(
    glm: Base, expected: dict[str, Tensor], folder: Path, tag: str
) -> None:
    prefix = read_prefix(folder, glm.source)
    said = expected[f"{tag}.gen_single"]
    ids = expected["ids"][:1]
    real = expected["mask"][:1]
    start = ids.shape[1]
    assert torch.equal(said[:, :start], ids) and said.shape[1] > start
    with torch.no_grad():
        scores = logits(
            glm,
            prefix,
            said[:, :-1],
            torch.cat([real, torch.ones_like(said[:, start:-1])], dim=1),
        )
    assert torch.equal(scores[0, start - 1 :].argmax(dim=-1), said[0, start:])


@pytest.mark.parametrize("bits", [4, 8])
def test_on_the_official_packed_bases_it_is_the_same(
    bits: Any, tmp_path: Path, expected: dict[str, Tensor]
) -> None:
    folder = shutil.copytree(REF / f"chatglm2-tiny-int{bits}", tmp_path / "base")
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(REF / "chatglm2-tiny" / name, folder)
    base = load_base(str(folder), bits=bits, device="cpu")
    prefix = read_prefix(PLAIN, base.source)
    packed = load_file(REF / "expected_quant.safetensors")
    with torch.no_grad():
        batch = logits(base, prefix, expected["ids"], expected["mask"])
    real = expected["mask"].bool()
    assert torch.allclose(batch[real], packed[f"int{bits}.prefix.logits_batch"][real], atol=1e-4)
    loss = loss_of(base, prefix, expected)
    assert torch.allclose(loss, packed[f"int{bits}.prefix.loss"], atol=1e-4)
    torch.autograd.backward(loss)
    theirs = packed[f"int{bits}.prefix.grad"]
    assert torch.allclose(official_gradient(base, prefix), theirs, atol=1e-4)


# --- official, both ways ----------------------------------------------------------------------


def saved(folder: Path, tensors: dict[str, Any], config: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, folder / "pytorch_model.bin")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_an_export_is_what_the_official_trainer_saves(tmp_path: Path) -> None:
    source = source_of(REF / "chatglm2-tiny")
    write_official(read_prefix(PLAIN, source), source, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in PLAIN.iterdir()
    }
    theirs = torch.load(PLAIN / "pytorch_model.bin", weights_only=True)
    ours = torch.load(tmp_path / "out" / "pytorch_model.bin", weights_only=True)
    assert ours.keys() == theirs.keys() and ours[NAME].dtype == theirs[NAME].dtype
    assert torch.allclose(ours[NAME], theirs[NAME], atol=1e-5)
    assert json.loads((tmp_path / "out" / "config.json").read_text("utf-8")) == json.loads(
        (PLAIN / "config.json").read_text("utf-8")
    )


def test_a_projection_comes_back_folded(tmp_path: Path) -> None:
    source = source_of(REF / "chatglm2-tiny")
    prefix = read_prefix(PROJECTED, source)
    write_official(prefix, source, tmp_path / "out")
    again = read_prefix(tmp_path / "out", source)
    assert all(
        torch.allclose(again.tensors()[name], tensor, atol=1e-5)
        for name, tensor in prefix.tensors().items()
    )
    assert not json.loads((tmp_path / "out" / "config.json").read_text())["prefix_projection"]


def test_the_file_may_be_given_instead_of_its_folder() -> None:
    source = source_of(REF / "chatglm2-tiny")
    one, other = (read_prefix(p, source) for p in (PLAIN, PLAIN / "pytorch_model.bin"))
    assert all(torch.equal(one.tensors()[n], t) for n, t in other.tensors().items())


def test_the_prefix_is_taken_out_of_a_whole_model(tmp_path: Path) -> None:
    source = source_of(REF / "chatglm2-tiny")
    prefix = torch.load(PLAIN / "pytorch_model.bin", weights_only=True)
    whole = load_file(REF / "chatglm2-tiny" / "model.safetensors")
    save_file({**whole, **prefix}, tmp_path / "model.safetensors")
    one, other = (read_prefix(folder, source) for folder in (PLAIN, tmp_path))
    assert all(torch.equal(one.tensors()[n], t) for n, t in other.tensors().items())


def test_half_precision_is_widened(tmp_path: Path) -> None:
    source = source_of(REF / "chatglm2-tiny")
    table = torch.load(PLAIN / "pytorch_model.bin", weights_only=True)[NAME]
    prefix = read_prefix(saved(tmp_path / "half", {NAME: table.half()}), source)
    assert prefix.keys[0].dtype == torch.float32
    whole = read_prefix(PLAIN, source)
    assert torch.allclose(prefix.values[0], whole.values[0], atol=1e-2)


SHAPES = st.builds(
    lambda layers, groups, each, quarter, length: (
        Shape(layers, groups, 4 * quarter),
        groups * each,
        length,
    ),
    layers=st.integers(1, 4),
    groups=st.integers(1, 3),
    each=st.integers(1, 3),
    quarter=st.integers(1, 6),
    length=st.integers(1, 40),
)
"""A base's shape, its query heads, and the length of a prefix."""


def official_config(shape: Shape, heads: int) -> dict[str, Any]:
    return {
        **json.loads((REF / "chatglm2-tiny" / "config.json").read_text("utf-8")),
        "num_layers": shape.layers,
        "num_attention_heads": heads,
        "multi_query_group_num": shape.heads,
        "kv_channels": shape.size,
        "hidden_size": 16,
        "ffn_hidden_size": 32,
        "padded_vocab_size": 64,
    }


@settings(max_examples=40, deadline=None)
@given(given_shape=SHAPES, seed=st.integers(0, 2**16))
def test_import_after_export_changes_nothing(
    given_shape: tuple[Shape, int, int], seed: int
) -> None:
    shape, heads, length = given_shape
    draw = torch.Generator().manual_seed(seed)
    table = torch.randn(length, shape.width, generator=draw)
    with tempfile.TemporaryDirectory() as place:
        base = Path(place) / "base"
        base.mkdir()
        (base / "config.json").write_text(json.dumps(official_config(shape, heads)))
        source = source_of(base)
        assert base_shape(base_config(source)) == shape
        prefix = read_prefix(saved(Path(place) / "theirs", {NAME: table}), source)
        write_official(prefix, source, Path(place) / "ours")
        ours = torch.load(Path(place) / "ours" / "pytorch_model.bin", weights_only=True)
        again = read_prefix(Path(place) / "ours", source)
    assert prefix.length == length and len(prefix.keys) == shape.layers
    assert prefix.keys[0].shape == (shape.heads, length, shape.size)
    assert torch.allclose(ours[NAME], table, atol=1e-5)
    assert all(
        torch.allclose(again.tensors()[name], tensor, atol=1e-5)
        for name, tensor in prefix.tensors().items()
    )


@settings(max_examples=15, deadline=None)
@given(given_shape=SHAPES, seed=st.integers(0, 2**16))
def test_turned_keys_at_p_are_raw_keys_at_zero(
    given_shape: tuple[Shape, int, int], seed: int
) -> None:
    """On transformers' GLM, with the official positions: the two ways are one model."""
    from transformers import DynamicCache, GlmConfig, GlmForCausalLM

    shape, heads, length = given_shape
    config = GlmConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.size,
        initializer_range=0.3,
        pad_token_id=0,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network: Any = GlmForCausalLM(config).eval()
        raw = prefix_of(torch.randn(length, shape.width), shape)
        ids = torch.randint(0, 64, (2, 7))

    def run(prefix: Prefix, start: int) -> Tensor:
        cache: DynamicCache = prefix.cache(2, torch.float32)
        with torch.no_grad():
            scores: Tensor = network(
                input_ids=ids,
                attention_mask=torch.ones(2, length + 7),
                position_ids=torch.arange(start, start + 7)[None].expand(2, -1),
                past_key_values=cache,
            ).logits
        return scores

    theirs = run(raw, 0)
    assert torch.allclose(run(moved(raw, config, length), length), theirs, atol=1e-4)


@given(given_shape=SHAPES, seed=st.integers(0, 2**16))
def test_a_table_is_ordered_by_layer_kind_head_and_channel(
    given_shape: tuple[Shape, int, int], seed: int
) -> None:
    shape, _, length = given_shape
    table = torch.randn(length, shape.width, generator=torch.Generator().manual_seed(seed))
    prefix = prefix_of(table, shape)
    assert torch.equal(table_of(prefix), table)
    draw = torch.Generator().manual_seed(seed)
    row, layer, head, channel = (
        int(torch.randint(0, size, (), generator=draw)) for size in (length, *shape)
    )
    for kind, part in enumerate((prefix.keys, prefix.values)):
        place = ((layer * 2 + kind) * shape.heads + head) * shape.size + channel
        assert part[layer][head, row, channel] == table[row, place]


# --- PEFT, both ways --------------------------------------------------------------------------


@pytest.fixture
def adapter(llama_base: Base, tmp_path: Path) -> Path:
    """An adapter as we write it."""
    prefix = text_prefix(llama_base.network, [2, 90, 120, 33, 250])
    write_peft(prefix, llama_base.source, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_comes_back_as_it_was(adapter: Path, llama_base: Base) -> None:
    prefix = text_prefix(llama_base.network, [2, 90, 120, 33, 250])
    again = read_prefix(adapter, llama_base.source)
    assert all(torch.equal(again.tensors()[n], t) for n, t in prefix.tensors().items())


def test_peft_computes_with_our_adapter_what_we_compute(
    adapter: Path, llama_base: Base, llama_base_folder: Path
) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(llama_base_folder)
    theirs = peft.PeftModel.from_pretrained(network, adapter).eval()
    told = theirs.peft_config["default"]
    assert Path(told.base_model_name_or_path) == llama_base_folder
    ids = torch.tensor([[5, 80, 300, 7, 61], [44, 3, 9, 128, 250]])
    real = torch.ones_like(ids)
    prefix = read_prefix(adapter, llama_base.source)
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=real).logits
        ours = logits(llama_base, prefix, ids, real)
        plain = llama_base.logits(llama_base.hidden(ids, real.bool(), None))
    assert torch.allclose(ours, expected, atol=1e-5)
    assert not torch.allclose(ours, plain, atol=1e-2)


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("old", [False, True], ids=["safetensors", "bin"])
def test_what_peft_saves_is_imported(
    llama_base: Base, llama_base_folder: Path, tmp_path: Path, projection: bool, old: bool
) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(llama_base_folder)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = peft.get_peft_model(
            network,
            peft.PrefixTuningConfig(
                task_type="CAUSAL_LM", num_virtual_tokens=6, prefix_projection=projection
            ),
        ).eval()
    theirs.save_pretrained(tmp_path)
    if old:
        tensors = load_file(tmp_path / "adapter_model.safetensors")
        (tmp_path / "adapter_model.safetensors").unlink()
        torch.save(tensors, tmp_path / "adapter_model.bin")
    prefix = read_prefix(tmp_path, llama_base.source)
    assert prefix.length == 6
    ids = torch.tensor([[5, 80, 300, 7, 61]])
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        ours = logits(llama_base, prefix, ids, torch.ones_like(ids))
    assert torch.allclose(ours, expected, atol=1e-5)


def test_an_adapter_for_a_chatglm_base_has_the_positions_of_transformers(
    glm: Base, tmp_path: Path
) -> None:
    prefix = read_prefix(PLAIN, glm.source)
    write_peft(prefix, glm.source, tmp_path / "adapter")
    again = read_prefix(tmp_path / "adapter", glm.source)
    assert all(torch.equal(again.tensors()[n], t) for n, t in prefix.tensors().items())


# --- what is refused --------------------------------------------------------------------------


def refusal(path: Path, base: Path, kind: type[RensheError] = CheckpointError) -> str:
    with pytest.raises(kind) as caught:
        read_prefix(path, source_of(base))
    assert "→" in str(caught.value)
    return str(caught.value)


GLM = REF / "chatglm2-tiny"
CHATGLM_6B = {"num_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
"""The first generation's settings: as many heads of keys as of queries."""


@pytest.mark.parametrize(
    ("shape", "config", "said"),
    [
        ((5, 128), None, ["(5, 128)", "(5, 192)", "for 2 layers"]),
        ((5, 100), None, ["(5, 100)", "(5, 192)", "of another size"]),
        ((5, 256), CHATGLM_6B, ["(5, 256)", "(5, 192)", "2 layers × 4 heads × 8"]),
        # As wide as this base's, but cut otherwise.
        (
            (5, 192),
            {**CHATGLM_6B, "num_layers": 3, "multi_query_group_num": 4},
            ["3 layers × 2 heads × 16", "3 layers × 4 heads × 8"],
        ),
        ((192,), None, ["(192,)"]),
        ((0, 192), None, ["(0, 192)"]),
        ((), None, ["()"]),
    ],
)
def test_a_prefix_of_another_base(
    tmp_path: Path, shape: tuple[int, ...], config: dict[str, Any] | None, said: list[str]
) -> None:
    told = refusal(saved(tmp_path / "theirs", {NAME: torch.ones(shape)}, config), GLM)
    assert all(words in told for words in [*said, "pytorch_model.bin", str(GLM), "--base"])


def test_a_chatglm_prefix_for_a_llama(llama_base_folder: Path) -> None:
    told = refusal(PLAIN, llama_base_folder)
    assert "a prefix of ChatGLM" in told and "is llama" in told


def test_an_adapter_of_another_base(
    adapter: Path, llama_base_folder: Path, tiny_base_folder: Path
) -> None:
    told = refusal(adapter, tiny_base_folder)
    assert "(5, 128)" in told and "(5, 192)" in told and "2 layers × 2 heads × 16" in told


def test_settings_of_another_training(tmp_path: Path, adapter: Path, llama_base: Base) -> None:
    config = {**json.loads((PLAIN / "config.json").read_text("utf-8")), "pre_seq_len": 128}
    folder = saved(tmp_path / "theirs", {NAME: torch.ones(5, 192)}, config)
    told = refusal(folder, GLM)
    assert "5 positions" in told and "128" in told
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    config["num_virtual_tokens"] = 9
    (adapter / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    told = refusal(adapter, llama_base.source.folder)
    assert "5 positions" in told and "say 9" in told


def test_a_training_that_diverged(tmp_path: Path) -> None:
    table = torch.ones(5, 192)
    table[2, 7:9] = torch.tensor([torch.nan, torch.inf])
    told = refusal(saved(tmp_path / "theirs", {NAME: table}), GLM)
    assert "2 numbers" in told and "earlier checkpoint" in told


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("transformer.prefix_encoder.trans.2.bias"),
        lambda tensors: tensors.pop(NAME),
        lambda tensors: tensors.update({"transformer.prefix_encoder.trans.4.bias": torch.ones(1)}),
        lambda tensors: tensors.update({NAME: torch.ones(5, 7)}),
    ],
)
def test_a_projection_that_is_not_whole(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object]
) -> None:
    tensors = torch.load(PROJECTED / "pytorch_model.bin", weights_only=True)
    change(tensors)
    told = refusal(saved(tmp_path / "theirs", tensors), GLM)
    assert "trans.0.weight (64, 192)" in told and "trans.2.weight" in told


def test_a_whole_model(tmp_path: Path) -> None:
    told = refusal(GLM, GLM)
    assert "no prefix checkpoint" in told and "transformer.embedding.word_embeddings" in told
    assert "--pre_seq_len" in told
    told = refusal(saved(tmp_path / "nothing", {"state": {}}), GLM)
    assert "0 other tensors (nothing)" in told


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such file or folder" in refusal(tmp_path / "nowhere", GLM)
    told = refusal(tmp_path, GLM)
    assert "no prefix checkpoint here" in told and "pytorch_model.bin" in told
    (tmp_path / "optimizer.pt").touch()
    assert "this name" in refusal(tmp_path / "optimizer.pt", GLM)


def test_a_folder_of_several_checkpoints(tmp_path: Path) -> None:
    for step in (500, 3000, 1000):
        shutil.copytree(PLAIN, tmp_path / f"checkpoint-{step}")
    (tmp_path / "training_args.bin").touch()
    told = refusal(tmp_path, GLM)
    assert "3 checkpoints" in told and str(tmp_path / "checkpoint-3000") in told


def test_a_truncated_file(tmp_path: Path) -> None:
    content = (PLAIN / "pytorch_model.bin").read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "pytorch_model.bin").write_bytes(content[:size])
        told = refusal(tmp_path, GLM, BaseModelError)
        assert "pytorch_model.bin" in told and "cannot be read" in told


class Bomb:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return Path.touch, (self.place,)


def test_a_pickle_that_holds_code_is_not_run(tmp_path: Path) -> None:
    folder = saved(tmp_path / "theirs", {NAME: torch.ones(5, 192), "x": Bomb(tmp_path / "ran")})
    assert "code to be run" in refusal(folder, GLM, BaseModelError)
    assert not (tmp_path / "ran").exists()


def test_a_pointer_instead_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "git lfs pull" in refusal(tmp_path, GLM, BaseModelError)


def test_an_adapter_of_another_type(tmp_path: Path, llama_base_folder: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}')
    told = refusal(tmp_path, llama_base_folder)
    assert "LORA" in told and "PREFIX_TUNING" in told and "adapter_config.json" in told


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_settings_that_cannot_be_read(
    tmp_path: Path, llama_base_folder: Path, content: str
) -> None:
    (tmp_path / "adapter_config.json").write_text(content)
    assert "cannot be read" in refusal(tmp_path, llama_base_folder)


def test_an_adapter_that_is_not_whole(adapter: Path, llama_base_folder: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    assert "cannot be read" in refusal(adapter, llama_base_folder, BaseModelError)
    tensors = {"prompt_embeddings": torch.ones(5, 128), "base_model.score": torch.ones(2)}
    save_file(tensors, weights)
    assert "base_model.score" in refusal(adapter, llama_base_folder)
    weights.unlink()
    assert str(weights) in refusal(adapter, llama_base_folder)


def test_the_official_code_has_no_use_for_other_bases(llama_base: Base, tmp_path: Path) -> None:
    prefix = text_prefix(llama_base.network, [2, 90])
    with pytest.raises(CheckpointError, match="no official ChatGLM") as caught:
        write_official(prefix, llama_base.source, tmp_path / "out")
    assert "--to peft" in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("write", [write_official, write_peft])
def test_nothing_is_written_over(tmp_path: Path, write: Callable[..., None]) -> None:
    source = source_of(GLM)
    prefix = read_prefix(PLAIN, source)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.docx").touch()
    for place in (tmp_path / "mine", tmp_path / "mine" / "thesis.docx"):
        with pytest.raises(CheckpointError, match="something here already") as caught:
            write(prefix, source, place)
        assert str(place) in str(caught.value) and "--out" in str(caught.value)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.docx"]
    with pytest.raises(CheckpointError, match="cannot be written"):
        write(prefix, source, tmp_path / "mine" / "thesis.docx" / "out")
    (tmp_path / "empty").mkdir()
    write(prefix, source, tmp_path / "empty")
    write(prefix, source, tmp_path / "deep" / "er")
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "empty", "deep"}


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    source = source_of(GLM)
    prefix = read_prefix(PLAIN, source)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_official(prefix, source, tmp_path / "out")
    assert not list(tmp_path.iterdir())
