import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainer import bases
from trainer.bases import EMBEDDED, find_base
from trainer.inspect_base import found, inspect_base
from trainer.language import use

REF = Path(__file__).parents[2] / "tests" / "data" / "chatglm2"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"


def official(tmp_path: Path, bits: int | None = None) -> Path:
    name = f"chatglm2-tiny-int{bits}" if bits else "chatglm2-tiny"
    folder = Path(shutil.copytree(REF / name, tmp_path / "official"))
    shutil.copy(REF / "chatglm2-tiny" / "tokenizer.model", folder)
    return folder


def configure(folder: Path, **changes: Any) -> None:
    told = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(told | changes), encoding="utf-8")


def rows(name: Path | str) -> dict[str, str]:
    seen = inspect_base(str(name))
    assert not seen.faults, [str(fault) for fault in seen.faults]
    return dict(seen.rows)


def codes(name: Path | str) -> list[str]:
    return [fault.code for fault in inspect_base(str(name)).faults]


# --- what a base is ----------------------------------------------------------------------------


def test_an_official_folder(tmp_path: Path) -> None:
    folder = official(tmp_path)
    assert rows(folder) == {
        "layout": "ChatGLM2 official layout",
        "place": str(folder),
        "chat format": "chatglm2: no role tokens (to overrule: --set chat_format=…)",
        "tokenizer": "sentencepiece, 507 pieces and 9 control tokens",
        "layers": "3",
        "hidden size": "64",
        "attention heads": "4",
        "key/value heads": "2",
        "head size": "16",
        "vocabulary": "520",
        "context": "128",
        "sliding window": "none",
        "weights": "177,984 parameters, float32 712.0 kB",
        "files": "1, 715.0 kB",
        "loading": "streamed and quantized tensor after tensor",
        "sha256": find_base(str(folder)).sha256,
        "train on it": f"renshe train personas/muxue.yaml --base {folder} --bits 8 --out run",
    }


@pytest.mark.parametrize("bits", [4, 8])
def test_an_official_packed_folder(tmp_path: Path, bits: int) -> None:
    folder = official(tmp_path, bits)
    (folder / "tokenizer_config.json").write_text('{"tokens": ["<|user|>"]}')
    seen = rows(folder)
    assert seen["layout"] == "ChatGLM3 official layout"
    assert seen["chat format"].startswith("chatglm3: tokenizer_config.json has <|user|>")
    assert seen["weights"].startswith(f"177,984 parameters, packed to int{bits}: float32")
    assert seen["loading"] == "streamed tensor after tensor, as it is packed"
    assert f"--bits {bits}" in seen["train on it"]


def test_a_folder_with_sliding_windows_and_tied_weights(tiny_base_folder: Path) -> None:
    seen = rows(tiny_base_folder)
    assert seen["layout"] == "Hugging Face, gemma3_text"
    assert seen["chat format"].startswith("plain: there is no chat template")
    assert seen["tokenizer"] == "Hugging Face, 400"
    assert seen["sliding window"] == "16 (2 of 3 layers)"
    assert seen["loading"] == "streamed and quantized tensor after tensor"
    stored = load_file(tiny_base_folder / "model.safetensors")
    assert seen["weights"].startswith(f"{sum(t.numel() for t in stored.values()):,} parameters")


def test_a_folder_with_a_template_and_shards(llama_base_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama_base_folder, tmp_path / "my llama"))
    whole = folder / "model.safetensors"
    placed = {name: f"{i % 3}.bin" for i, name in enumerate(load_file(whole))}
    for file in set(placed.values()):
        part = {name: t for name, t in load_file(whole).items() if placed[name] == file}
        torch.save({name: tensor.half() for name, tensor in part.items()}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": placed}))
    whole.unlink()
    seen = rows(folder)
    assert seen["layout"] == "Hugging Face, llama"
    assert seen["chat format"].startswith("jinja: ") and "chat_template" in seen["chat format"]
    assert seen["files"].startswith("3, ") and "float16" in seen["weights"]
    assert f"--base '{folder}'" in seen["train on it"]  # it can be pasted


def test_what_transformers_must_rearrange_is_loaded_whole(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_base_folder, tmp_path / "inner"))
    tensors = load_file(folder / "model.safetensors")
    inner = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(inner, folder / "model.safetensors", metadata={"format": "pt"})
    assert "loaded whole: transformers must rename" in rows(folder)["loading"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_it_is_told_in_both_languages(tmp_path: Path, language: Any) -> None:
    use(language)
    seen = rows(official(tmp_path))
    assert ("格式" in seen) is (language == "zh") and len(seen) == 17


def test_a_true_size_is_looked_at_quickly(tmp_path: Path) -> None:
    """The shape of ChatGLM2-6B: 12.5 GB of weights, of which only the headers are there."""
    folder = official(tmp_path)
    big = {"hidden_size": 4096, "ffn_hidden_size": 13696, "kv_channels": 128, "num_layers": 28}
    configure(folder, **big, num_attention_heads=32, padded_vocab_size=65024, seq_length=32768)
    rows(REF / "chatglm2-tiny")  # libraries are loaded by now
    header, end = {}, 0
    for name, shape in true_shapes(28).items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)  # sparse: takes no room
    begun = time.monotonic()
    seen = inspect_base(str(folder))
    assert time.monotonic() - begun < 2  # 0.2 s on a free core
    told = dict(seen.rows)
    assert told["weights"] == "6,243,584,000 parameters, float16 12.49 GB"
    # The tokenizer of the test data is far too small for it, which is told as well.
    assert [(fault.code, fault.severity) for fault in seen.faults] == [
        ("tokenizer-small", "warning")
    ]
    assert not seen.errors


def true_shapes(layers: int) -> dict[str, list[int]]:
    shapes = {
        "transformer.embedding.word_embeddings.weight": [65024, 4096],
        "transformer.output_layer.weight": [65024, 4096],
        "transformer.encoder.final_layernorm.weight": [4096],
    }
    for layer in range(layers):
        for name, shape in {
            "input_layernorm.weight": [4096],
            "post_attention_layernorm.weight": [4096],
            "self_attention.query_key_value.weight": [4608, 4096],
            "self_attention.query_key_value.bias": [4608],
            "self_attention.dense.weight": [4096, 4096],
            "mlp.dense_h_to_4h.weight": [27392, 4096],
            "mlp.dense_4h_to_h.weight": [4096, 13696],
        }.items():
            shapes[f"transformer.encoder.layers.{layer}.{name}"] = shape
    return shapes


# --- registered bases and GGUF -----------------------------------------------------------------


def gguf_file(path: Path, template: str | None = None) -> Path:
    from gguf import GGUFWriter, LlamaFileType

    writer = GGUFWriter(path, "llama")
    writer.add_name("Tiny Llama")
    writer.add_block_count(2)
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "c"])
    if template:
        writer.add_chat_template(template)
    writer.add_tensor("token_embd.weight", torch.ones(3, 32).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("template", [None, "{{ messages }}"])
def test_a_gguf_file_is_read_not_converted(
    own_cache: Path, tmp_path: Path, template: str | None
) -> None:
    file = gguf_file(tmp_path / "mine.gguf", template)
    seen = rows(file)
    assert seen["layout"] == "GGUF, llama, Tiny Llama"
    assert seen["weights"] == "Q8_0 (1 F32)"
    assert seen["tokenizer"] == "gpt2, 3"
    sizes = ("layers", "hidden size", "attention heads", "key/value heads", "head size", "context")
    assert [seen[name] for name in sizes] == ["2", "32", "4", "2", "8", "512"]
    assert seen["chat format"].startswith("jinja" if template else "plain")
    assert "converted at its first use" in seen["loading"] and not own_cache.exists()


@pytest.mark.parametrize("cut", [0, 3, 40, 200, -1])
def test_half_a_gguf_file(tmp_path: Path, cut: int) -> None:
    file = gguf_file(tmp_path / "mine.gguf")
    file.write_bytes(file.read_bytes()[:cut])
    assert codes(file) == ["gguf-damaged"]
    assert f"({file.stat().st_size:,} bytes)" in str(inspect_base(str(file)).faults[0])


def test_a_gguf_file_that_is_a_pointer(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_text(POINTER)
    assert codes(file) == ["weights-pointer"]


def test_a_registered_base_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "_package_file", lambda *_: None)
    (fault,) = inspect_base("tiny").faults
    assert fault.fix == EMBEDDED[0].install


def test_a_registered_base_before_and_after_its_conversion(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, tiny_base_folder: Path, tmp_path: Path
) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"x" * 1000)
    monkeypatch.setattr(bases, "_package_file", lambda *_: part)
    before = rows("tiny")
    assert before["layout"] == "embedded, Gemma 3 270M (Q4_K_M)" and "layers" not in before
    assert before["files"] == "4, 4.0 kB" and before["sha256"] == EMBEDDED[0].sha256
    shutil.copytree(tiny_base_folder, own_cache / "bases" / EMBEDDED[0].sha256[:16])
    after = rows("tiny")
    assert after["layout"] == before["layout"] and after["layers"] == "3"
    assert after["sha256"] == EMBEDDED[0].sha256 and "--base tiny" in after["train on it"]


# --- what is wrong with it ---------------------------------------------------------------------


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    folder = official(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "tokenizer.model").unlink()
    tensors["stranger"] = torch.zeros(3)
    tensors["transformer.output_layer.weight"] = torch.zeros(520, 65)
    placed = {name: f"{i % 4}.safetensors" for i, name in enumerate(tensors)}
    placed["stranger"] = placed["transformer.output_layer.weight"] = "3.safetensors"
    for file in set(placed.values()):
        part = {name: tensor for name, tensor in tensors.items() if placed[name] == file}
        save_file(part, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    (folder / "0.safetensors").unlink()
    (folder / "1.safetensors").write_text(POINTER)
    (folder / "2.safetensors").write_bytes((folder / "2.safetensors").read_bytes()[:-1])
    seen = inspect_base(str(folder))
    assert sorted(fault.code for fault in seen.errors) == [
        "tokenizer-missing",
        "weights-damaged",
        "weights-misfit",
        "weights-misfit",
        "weights-missing",
        "weights-pointer",
    ]
    told = "\n".join(map(str, seen.faults))
    assert "(520, 65)" in told and "(520, 64)" in told and "stranger" in told
    assert all(f"{number}.safetensors" in told for number in range(4))
    assert dict(seen.rows)["layers"] == "3"  # what is known is told all the same


def test_a_missing_tensor_is_told_where_all_shards_are_read(tmp_path: Path) -> None:
    folder = official(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.encoder.final_layernorm.weight"]
    save_file(tensors, folder / "model.safetensors")
    (fault,) = inspect_base(str(folder)).faults
    assert fault.code == "weights-missing" and "model.norm.weight" in fault.problem


def test_a_configuration_that_glm_does_not_compute(tmp_path: Path) -> None:
    folder = official(tmp_path)
    configure(folder, rope_ratio=50, post_layer_norm=False)
    (folder / "model.safetensors").write_text(POINTER)
    assert codes(folder) == ["glm-config", "glm-config", "weights-pointer"]


def test_the_first_chatglm_is_told_and_nothing_that_follows_from_it(tmp_path: Path) -> None:
    folder = official(tmp_path)
    configure(folder, position_encoding_2d=True)
    (folder / "tokenizer.model").rename(folder / "ice_text.model")
    (fault,) = inspect_base(str(folder)).faults
    assert "first ChatGLM-6B" in fault.problem


def test_another_models_tokenizer(tmp_path: Path) -> None:
    folder = official(tmp_path)
    configure(folder, padded_vocab_size=500)
    assert "tokenizer-misfit" in codes(folder)


def test_a_folder_that_transformers_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nothing_known"}')
    seen = inspect_base(str(tmp_path))
    assert next(fault.code for fault in seen.errors) == "base-unreadable"
    assert "weights-missing" in [fault.code for fault in seen.errors]
    assert dict(seen.rows)["layout"] == "Hugging Face, nothing_known"


# --- the line when a base is loaded ------------------------------------------------------------


def test_the_line_about_a_base_that_is_loaded(tmp_path: Path, tiny_base_folder: Path) -> None:
    source = find_base(str(official(tmp_path, 4)))
    assert found(source, "glm", "chatglm2") == (
        "ChatGLM2 official layout, int4, chat format chatglm2 (no role tokens)"
    )
    assert found(source, "glm", "plain").endswith("chat format plain (as set)")
    assert found(find_base(str(tiny_base_folder)), "gemma3_text", "plain") == (
        "Hugging Face, gemma3_text, chat format plain (there is no chat template)"
    )
