import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer import weights
from trainer.errors import BaseModelError
from trainer.glm import translated
from trainer.model import Base, empty_network, load_base
from trainer.quantize import QuantizedLinear
from trainer.weights import (
    HalfEmbedding,
    HalfLinear,
    read_tensors,
    stream_weights,
    weight_files,
    without_memory,
)

REF = Path(__file__).parents[2] / "tests" / "data" / "chatglm2"
KINDS = pytest.mark.parametrize("kind", ["safetensors", "bin"])
IDS = torch.tensor([[5, 6, 7, 8, 9, 40, 41, 42]])


def load(folder: Path, **options: Any) -> Base:
    return load_base(str(folder), **{"bits": None, "device": "cpu"} | options)


def logits(network: Any) -> Tensor:
    with torch.no_grad():
        scores: Tensor = network(input_ids=IDS).logits
    return scores


def whole(folder: Path) -> Any:
    """The same folder as transformers itself loads it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()


def rewrite(folder: Path, tensors: dict[str, Tensor], kind: str, shards: int = 1) -> list[Path]:
    """Put ``tensors`` in the place of a folder's weights; returns the files."""
    for old in [*folder.glob("*.safetensors*"), *folder.glob("*.bin*")]:
        old.unlink()
    stem, suffix = {"safetensors": ("model", "safetensors"), "bin": ("pytorch_model", "bin")}[kind]
    names = [f"{stem}-{i + 1:05}-of-{shards:05}.{suffix}" for i in range(shards)]
    names = names if shards > 1 else [f"{stem}.{suffix}"]
    placed = {name: names[index % shards] for index, name in enumerate(tensors)}
    for file in names:
        part = {name: tensors[name].clone() for name in tensors if placed[name] == file}
        if kind == "bin":
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file, metadata={"format": "pt"})
    if shards > 1:
        index = {"metadata": {}, "weight_map": placed}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index), encoding="utf-8")
    return [folder / name for name in names]


@pytest.fixture
def gemma(tiny_base_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_base_folder, tmp_path / "gemma")


@pytest.fixture
def llama(llama_base_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(llama_base_folder, tmp_path / "llama")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return shutil.copytree(REF / "chatglm2-tiny", tmp_path / "official")


@pytest.fixture(params=["llama", "official"])
def folder(request: pytest.FixtureRequest) -> Path:
    """A folder to be spoilt: of transformers' layout, and of ChatGLM's."""
    path: Path = request.getfixturevalue(request.param)
    return path


# --- streamed as if loaded whole ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["gemma", "llama"])
def test_streamed_weights_are_those_of_transformers(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import model

    path = request.getfixturevalue(name)
    monkeypatch.delattr(model, "_load_whole")  # it must not be needed
    base = load(path)
    assert torch.equal(logits(base.network), logits(whole(path)))


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_of_either_kind(folder: Path, kind: str, shards: int) -> None:
    before = logits(load(folder).network)
    files = rewrite(folder, load_file(folder / "model.safetensors"), kind, shards)
    assert weight_files(folder) == files and len(files) == shards
    assert torch.equal(logits(load(folder).network), before)


def test_a_file_of_an_old_torch(official: Path) -> None:
    before = logits(load(official).network)
    tensors = load_file(official / "model.safetensors")
    (file,) = rewrite(official, tensors, "bin")
    torch.save(tensors, file, _use_new_zipfile_serialization=False)
    assert torch.equal(logits(load(official).network), before)


@pytest.mark.parametrize("bits", [8, 4])
def test_packing_on_the_way_is_packing_afterwards(folder: Path, bits: Any) -> None:
    from trainer.quantize import quantize_linears

    streamed = load(folder, bits=bits).network
    dense = load(folder).network
    quantize_linears(dense, bits, keep=dense.get_output_embeddings())
    assert torch.equal(logits(streamed), logits(dense))


def test_other_names_are_left_to_transformers(gemma: Path) -> None:
    """A file of the inner model alone, whose names lack ``model.``."""
    before = logits(load(gemma).network)
    tensors = load_file(gemma / "model.safetensors")
    rewrite(gemma, {name.removeprefix("model."): t for name, t in tensors.items()}, "safetensors")
    assert torch.equal(logits(load(gemma).network), before)


@pytest.mark.parametrize("bits", [8, 4])
def test_packed_weights_lie_where_their_file_is_mapped(tmp_path: Path, bits: Any) -> None:
    path = shutil.copytree(REF / f"chatglm2-tiny-int{bits}", tmp_path / "base")
    shutil.copy(REF / "chatglm2-tiny" / "tokenizer.model", path)
    attention = load(path, bits=bits).network.model.layers[0].self_attn
    q, k = attention.q_proj.weight, attention.k_proj.weight
    assert isinstance(attention.q_proj, QuantizedLinear)
    # Query and key are one tensor in the file, and neither was moved away from it.
    assert q.data_ptr() + q.numel() == k.data_ptr()
    assert q.untyped_storage().data_ptr() == k.untyped_storage().data_ptr()
    assert q.untyped_storage().nbytes() > q.numel() + k.numel()


def test_other_weights_let_their_file_go(official: Path) -> None:
    for tensor in load(official).network.state_dict().values():
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_progress_rises_to_all(folder: Path) -> None:
    told: list[float] = []
    load(folder, report=lambda _stage, done: told.append(done))
    assert told == sorted(told)
    assert told[0] == 0.0 and told[-1] == 1.0 and len(set(told)) > 10


def test_progress_of_a_model_with_tied_weights(gemma: Path) -> None:
    told: list[float] = []
    source = load(gemma).source
    stream_weights(
        empty_network(source),
        read_tensors(weight_files(gemma)),
        gemma,
        bits=None,
        packed=False,
        place=torch.device("cpu"),
        dtype=torch.float32,
        report=told.append,
    )
    assert told == sorted(told) and 0.9 < told[-1] <= 1.0


@KINDS
def test_headers_tell_what_the_tensors_are(tmp_path: Path, kind: str) -> None:
    tensors = {
        "a": torch.zeros(3, 4),
        "b": torch.zeros(5, dtype=torch.float16),
        "c": torch.tensor(1, dtype=torch.int8),
        "d": torch.zeros(0, 2, dtype=torch.bfloat16),
        "e": torch.zeros(2, dtype=torch.float8_e4m3fn),
    }
    files = rewrite(tmp_path, tensors, kind, 2)
    heads = {name: tensor for _, name, tensor in weights.read_headers(files)}
    assert all(tensor.is_meta for tensor in heads.values())
    assert {name: (head.shape, head.dtype) for name, head in heads.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()
    }
    assert weights.tensor_names(files) == set("abcde")


def test_a_model_without_memory_has_its_buffers() -> None:
    register = nn.Module.register_parameter
    with without_memory():
        module = nn.BatchNorm1d(3)
    assert module.weight.is_meta and not module.running_var.is_meta
    assert nn.Module.register_parameter is register
    with pytest.raises(ZeroDivisionError), without_memory():
        raise ZeroDivisionError
    assert nn.Module.register_parameter is register


# --- half precision ----------------------------------------------------------------------------


def halved(folder: Path, **changes: Any) -> Path:
    """Store a folder in half precision, with other settings."""
    config = json.loads((folder / "config.json").read_text("utf-8")) | changes
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = load_file(folder / "model.safetensors")
    if changes.get("tie_word_embeddings"):
        del tensors["lm_head.weight"]
    rewrite(folder, {name: tensor.half() for name, tensor in tensors.items()}, "safetensors")
    return folder


@pytest.mark.parametrize("tied", [False, True])
def test_large_tables_stay_in_half_precision(llama: Path, tied: bool) -> None:
    network = load(halved(llama, tie_word_embeddings=tied)).network
    embedding, head = network.get_input_embeddings(), network.get_output_embeddings()
    assert isinstance(embedding, HalfEmbedding) and isinstance(head, HalfLinear)
    assert embedding.weight.dtype == head.weight.dtype == torch.float16
    assert (embedding.weight.data_ptr() == head.weight.data_ptr()) is tied
    assert torch.equal(logits(network), logits(whole(llama)))
    dense = [tensor.dtype for tensor in network.model.layers.state_dict().values()]
    assert set(dense) == {torch.float32}


def test_scaled_embeddings_are_widened(gemma: Path) -> None:
    """Gemma's are of a kind of their own, with its own arithmetic."""
    network = load(halved(gemma)).network
    assert network.get_input_embeddings().weight.dtype == torch.float32
    assert torch.equal(logits(network), logits(whole(gemma)))


@pytest.mark.parametrize("rows", [1, 40, weights._CHUNK, weights._CHUNK * 2 + 3])
def test_half_layers_are_their_dense_ones(rows: int) -> None:
    weight = torch.randn(rows, 6, generator=torch.Generator().manual_seed(0)).half()
    ids, x = torch.tensor([[0, rows - 1], [rows // 2, 0]]), torch.randn(2, 3, 6)
    embedded = HalfEmbedding(weight, torch.float32)(ids)
    assert embedded.dtype == torch.float32 and torch.equal(embedded, weight.float()[ids])
    scores = HalfLinear(weight)(x)
    assert scores.shape == (2, 3, rows) and scores.dtype == torch.float32
    assert torch.allclose(scores, nn.functional.linear(x, weight.float()), atol=1e-5)


def test_the_half_output_layer_has_the_dense_gradient() -> None:
    weight = torch.randn(weights._CHUNK + 5, 6).half()
    x = torch.randn(4, 6, requires_grad=True)
    (ours,) = torch.autograd.grad(HalfLinear(weight)(x).logsumexp(-1).sum(), x)
    dense = nn.functional.linear(x, weight.float())
    (theirs,) = torch.autograd.grad(dense.logsumexp(-1).sum(), x)
    assert torch.allclose(ours, theirs, atol=1e-5)


# --- bad input ---------------------------------------------------------------------------------


def refusal(folder: Path, **options: Any) -> BaseModelError:
    with pytest.raises(BaseModelError) as caught:
        load(folder, **options)
    assert all(fault.path and fault.fix for fault in caught.value.faults)
    return caught.value


def sharded(folder: Path, kind: str = "safetensors") -> list[Path]:
    return rewrite(folder, load_file(folder / "model.safetensors"), kind, 3)


def changed(folder: Path, change: Callable[[dict[str, Tensor]], Any], kind: str) -> list[Path]:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    return rewrite(folder, tensors, kind)


@KINDS
def test_all_missing_shards_are_named_at_once(folder: Path, kind: str) -> None:
    first, _, last = sharded(folder, kind)
    first.unlink()
    last.unlink()
    error = refusal(folder)
    assert [fault.path for fault in error.faults] == [first, last]
    assert {fault.code for fault in error.faults} == {"weights-missing"}
    assert "this shard is missing" in str(error)


@KINDS
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_half_a_shard(folder: Path, kind: str, part: float) -> None:
    _, file, _ = sharded(folder, kind)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * part)])
    error = refusal(folder)
    assert error.faults[0].path == file and error.faults[0].code == "weights-damaged"
    assert f"({file.stat().st_size:,} bytes)" in str(error)


@KINDS
def test_a_tensor_of_another_shape_states_both(folder: Path, kind: str) -> None:
    name = next(
        n for n in load_file(folder / "model.safetensors") if "layers.1" in n and "mlp" in n
    )

    def cut(tensors: dict[str, Tensor]) -> None:
        tensors[name] = tensors[name][:-1]

    shape = tuple(load_file(folder / "model.safetensors")[name].shape)
    (file,) = changed(folder, cut, kind)
    error = refusal(folder)
    assert error.faults[0].path == file and error.faults[0].code == "weights-misfit"
    assert f"has shape {(shape[0] - 1, *shape[1:])}" in str(error)
    assert f"config.json asks for {shape}" in str(error)


def test_fused_rows_of_another_size_state_both_shapes(official: Path) -> None:
    name = "transformer.encoder.layers.0.self_attention.query_key_value.weight"
    changed(official, lambda tensors: tensors.update({name: tensors[name][:-2]}), "safetensors")
    assert "has shape (126, 64), but config.json asks for (64, 64)" in str(refusal(official))


@KINDS
def test_an_unknown_tensor_is_named(folder: Path, kind: str) -> None:
    changed(folder, lambda tensors: tensors.update(stranger=torch.zeros(2, 3)), kind)
    assert "stranger" in str(refusal(folder))


def test_layers_that_the_configuration_leaves_out_are_named(llama: Path) -> None:
    config = json.loads((llama / "config.json").read_text("utf-8"))
    config["num_hidden_layers"] = 1
    (llama / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "model.layers.1." in str(refusal(llama))


@KINDS
def test_a_missing_tensor_is_named(folder: Path, kind: str) -> None:
    names = [n for n in load_file(folder / "model.safetensors") if "layers.1.post_attention" in n]
    changed(folder, lambda tensors: [tensors.pop(name) for name in names], kind)
    error = refusal(folder)
    assert "1 tensors are missing: model.layers.1.post_attention_layernorm.weight" in str(error)
    assert error.faults[0].path == folder


def test_a_missing_scale_is_named(tmp_path: Path) -> None:
    path = shutil.copytree(REF / "chatglm2-tiny-int4", tmp_path / "base")
    shutil.copy(REF / "chatglm2-tiny" / "tokenizer.model", path)
    name = "transformer.encoder.layers.2.mlp.dense_4h_to_h.weight_scale"
    changed(path, lambda tensors: tensors.pop(name), "safetensors")
    assert "model.layers.2.mlp.down_proj.weight_scale" in str(refusal(path, bits=4))


class Intruder:
    """Pickled, it asks whoever unpickles it to make a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def as_zip(what: Any, file: Path) -> None:
    torch.save(what, file)


def as_before_torch_1_6(what: Any, file: Path) -> None:
    torch.save(what, file, _use_new_zipfile_serialization=False)


def as_pickle(what: Any, file: Path) -> None:
    file.write_bytes(pickle.dumps(what, protocol=2))


@pytest.mark.parametrize("write", [as_zip, as_before_torch_1_6, as_pickle])
def test_code_in_a_file_is_never_run(
    folder: Path, tmp_path: Path, write: Callable[[Any, Path], None]
) -> None:
    mark = tmp_path / "mark"
    tensors = load_file(folder / "model.safetensors")
    (file,) = rewrite(folder, tensors, "bin")
    write({**tensors, "intruder": Intruder(mark)} if write != as_pickle else Intruder(mark), file)
    error = refusal(folder)
    assert error.faults[0].path == file and error.faults[0].code == "weights-unsafe"
    assert "was not read" in str(error) and not mark.exists()
    torch.load(file, weights_only=False) if write != as_pickle else pickle.loads(file.read_bytes())
    assert mark.exists()  # so the file was really one that makes it


@pytest.mark.parametrize("text", ["weights, honestly\n", "<!DOCTYPE html>\n<html>404</html>", "{}"])
def test_a_text_file_called_bin(folder: Path, text: str) -> None:
    (file,) = rewrite(folder, load_file(folder / "model.safetensors"), "bin")
    file.write_text(text)
    error = refusal(folder)
    assert error.faults[0].path == file and error.faults[0].code == "weights-damaged"


def test_something_else_than_named_tensors(official: Path) -> None:
    (file,) = rewrite(official, load_file(official / "model.safetensors"), "bin")
    torch.save([torch.zeros(2)], file)
    assert "list instead of named tensors" in str(refusal(official))


@KINDS
def test_a_checkout_without_git_lfs(folder: Path, kind: str) -> None:
    files = sharded(folder, kind)
    for file in files:
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    error = refusal(folder)
    assert [fault.path for fault in error.faults] == files
    assert {fault.code for fault in error.faults} == {"weights-pointer"}
    assert f"git lfs pull --include {files[0].name}" in str(error)


@pytest.mark.parametrize("name", ["tokenizer.model", "tokenizer.json"])
def test_a_tokenizer_that_is_a_pointer(request: pytest.FixtureRequest, name: str) -> None:
    path = request.getfixturevalue("official" if name == "tokenizer.model" else "llama")
    (path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    error = refusal(path)
    assert error.faults[0].path == path / name and error.faults[0].code == "weights-pointer"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": []}}', "\ud83d"],
)
def test_a_broken_list_of_shards(folder: Path, content: str) -> None:
    sharded(folder)
    index = folder / "model.safetensors.index.json"
    index.write_bytes(content.encode("utf-8", "surrogatepass"))
    error = refusal(folder)
    if "[]}}" in content:
        assert error.faults[0].path == folder / "[]"
    else:
        assert error.faults[0].path == index and error.faults[0].code == "weights-index"


def test_a_list_without_shards(folder: Path) -> None:
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    assert "tensors are missing" in str(refusal(folder))


def test_a_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    error = refusal(folder)
    assert "no weights here" in str(error) and "pytorch_model.bin" in str(error)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no base called") as caught:
        load(tmp_path)
    assert "config.json" in str(caught.value)


def test_a_tokenizer_with_more_words_than_the_base(official: Path) -> None:
    config = json.loads((official / "config.json").read_text("utf-8"))
    (official / "config.json").write_text(
        json.dumps({**config, "padded_vocab_size": 500}), encoding="utf-8"
    )
    error = refusal(official)
    assert error.faults[0].code == "tokenizer-misfit"
    assert "up to 510" in str(error) and "has 500" in str(error)


def test_control_tokens_that_no_format_uses_may_lie_beyond(official: Path) -> None:
    """ChatGLM2 has no role tokens, so that their rows are not missed."""
    config = json.loads((official / "config.json").read_text("utf-8"))
    (official / "config.json").write_text(
        json.dumps({**config, "padded_vocab_size": 512}), encoding="utf-8"
    )
    tensors = load_file(official / "model.safetensors")
    cut = {name: t[:512] if t.shape[0] == 520 else t for name, t in tensors.items()}
    rewrite(official, cut, "safetensors")
    assert load(official).vocabulary == 512
    assert refusal(official, chat_format="chatglm3").faults[0].code == "tokenizer-misfit"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(["zip", "old", "safetensors", "noise"]))
def test_damage_of_any_kind_is_told_and_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    tensors = {"a": torch.zeros(4, 4), "b": torch.ones(3)}
    file = tmp_path_factory.getbasetemp() / ("f.safetensors" if kind == "safetensors" else "f.bin")
    if kind == "safetensors":
        save_file(tensors, file)
    else:
        torch.save(tensors, file, _use_new_zipfile_serialization=kind == "zip")
    content = bytearray(file.read_bytes())
    if kind == "noise":
        content = bytearray(data.draw(st.binary(max_size=60)))
    elif data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(3):
            content[data.draw(st.integers(0, min(500, len(content) - 1)))] = data.draw(
                st.integers(0, 255)
            )
    file.write_bytes(content)
    try:
        heads = list(weights.read_headers([file]))
        read = list(read_tensors([file]))
        assert [tensor.shape for _, _, tensor in heads] == [tensor.shape for _, _, tensor in read]
    except BaseModelError as error:
        assert error.faults[0].path == file
        assert error.faults[0].code in ("weights-damaged", "weights-unsafe")
    else:
        assert all(isinstance(tensor, Tensor) for _, _, tensor in read)


def test_a_pickled_file_is_read_whole(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0), "b": torch.ones(2, 2), "step": 3}
    torch.save(tensors, tmp_path / "x.bin")
    read = {name: tensor for _, name, tensor in read_tensors([tmp_path / "x.bin"])}
    assert read.keys() == {"a", "b"} and torch.equal(read["a"], tensors["a"])


def test_all_misfits_are_found_at_once(official: Path) -> None:
    """What ``renshe bases --inspect`` shows before anything is loaded."""
    source = load(official).source
    tensors = load_file(official / "model.safetensors")
    tensors["stranger"] = torch.zeros(1)
    del tensors["transformer.encoder.final_layernorm.weight"]
    tensors["transformer.output_layer.weight"] = torch.zeros(520, 63)
    (file,) = rewrite(official, tensors, "safetensors")
    network = empty_network(source)
    named = (
        (path, new, part)
        for path, name, tensor in read_tensors([file])
        for new, part in translated(name, tensor, network.config)
    )
    faults = weights.misfits(network, named, official, bits=None, whole=True)
    assert sorted(fault.code for fault in faults) == [
        "weights-misfit",
        "weights-misfit",
        "weights-missing",
    ]
    told = "\n".join(map(str, faults))
    assert "stranger" in told and "(520, 63)" in told and "model.norm.weight" in told
