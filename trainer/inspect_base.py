"""What a base is, and all that is wrong with it, told from the headers of its files.

A user who gives a path wants to know what was recognised before waiting for gigabytes,
and which of twelve files the download lost. So nothing here reads a weight: shapes come
from the heads of the shards, and the model they are held against holds no memory.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.bases import (
    EMBEDDED,
    BaseSource,
    EmbeddedBase,
    chat_format_of,
    converted_folder,
    find_base,
    pointer_fault,
)
from trainer.errors import Fault, RensheError
from trainer.glm import is_first_generation, read_config
from trainer.language import say

if TYPE_CHECKING:
    from trainer.chat import Chat

_SPARE = 0.9
"""Vocabularies are padded by some percent; a tokenizer of less than this part is another's."""


@dataclass
class Inspection:
    """What was found.

    Attributes:
        rows: name and value of each property, in the order in which they are shown.
        faults: everything that is wrong, as far as headers tell.
    """

    rows: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def errors(self) -> list[Fault]:
        """The faults that keep the base from being loaded."""
        return [fault for fault in self.faults if fault.severity == "error"]


def inspect_base(name: str) -> Inspection:
    """Look at a base without loading it.

    Args:
        name: a registered name, an official ChatGLM folder, a Hugging Face folder or a
            ``.gguf`` file.

    Raises:
        BaseModelError: there is no such base.
    """
    for base in EMBEDDED:
        if base.name == name:
            return _embedded(base)
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return _gguf(name, path)
    return _folder(find_base(name))


def found(source: BaseSource, model_type: str, chat_format: str) -> str:
    """Say in a line what a base given by its path turned out to be.

    Args:
        source: the base.
        model_type: transformers' name of the architecture.
        chat_format: the one in use, which may be another than the base's own.
    """
    own, reason = chat_format_of(source.folder)
    if chat_format != own:
        reason = say(zh="按设置", en="as set")
    stored = f"int{source.bits}, " if source.bits else ""
    return say(
        zh=f"{_layout(source, model_type)}，{stored}对话格式 {chat_format}（{reason}）",
        en=f"{_layout(source, model_type)}, {stored}chat format {chat_format} ({reason})",
    )


def _layout(source: BaseSource, model_type: str) -> str:
    if source.official:
        chat_format, _ = chat_format_of(source.folder)
        name = {"chatglm2": "ChatGLM2", "chatglm3": "ChatGLM3"}[chat_format]
        return say(zh=f"{name} 官方格式", en=f"{name} official layout")
    if Path(source.name).suffix == ".gguf":
        return f"GGUF, {model_type}"
    return f"Hugging Face, {model_type}"


# --- a base that comes with packages ---------------------------------------------------------


def _embedded(base: EmbeddedBase) -> Inspection:
    folder, parts = converted_folder(base.sha256), base.paths()
    seen = Inspection(
        [
            (_names()["layout"], say(zh=f"内置，{base.title}", en=f"embedded, {base.title}")),
            (say(zh="语言", en="languages"), base.languages),
            (say(zh="许可证", en="licence"), base.licence),
        ]
    )
    if parts is None:
        seen.faults.append(
            Fault(
                say(zh=f"底座 {base.name} 还没有安装", en=f"the base {base.name} is not installed"),
                fix=base.install,
                code="base-missing",
            )
        )
    elif folder.is_dir():  # a finished conversion is moved in whole
        source = BaseSource(base.name, folder, base.chat_format, base.sha256)
        whole = _folder(source)
        seen.rows += [row for row in whole.rows if row[0] != _names()["layout"]]
        seen.faults += whole.faults
    else:
        seen.rows += [
            (_names()["place"], str(parts[0].parent)),
            _chat_row(base.chat_format, say(zh="登记的", en="as registered")),
            (_names()["files"], _files(parts)),
            (_names()["loading"], _converted_first()),
            (_names()["sha256"], base.sha256),
            (_names()["train"], _command(base.name, 8)),
        ]
    return seen


# --- a GGUF file -----------------------------------------------------------------------------


def _gguf(name: str, path: Path) -> Inspection:
    seen = Inspection([(_names()["layout"], "GGUF"), (_names()["place"], str(path))])
    if fault := pointer_fault(path):
        seen.faults.append(fault)
        return seen
    try:
        fields, tensors = _gguf_header(path)
    # The library trusts the file's numbers, and stumbles wherever they lead it.
    except (OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
        seen.faults.append(
            Fault(
                say(
                    zh=f"GGUF 文件读不了（{path.stat().st_size:,} 字节）：{error}",
                    en=f"the GGUF file cannot be read ({path.stat().st_size:,} bytes): {error}",
                ),
                path,
                fix=say(
                    zh="文件可能没下载全；和来源比一下大小，重新下载它",
                    en="it may be half a download; compare its size and download it again",
                ),
                code="gguf-damaged",
            )
        )
        return seen
    seen.rows = [*_gguf_rows(name, path, fields, tensors)]
    return seen


def _gguf_header(path: Path) -> tuple[dict[str, Any], Counter[str]]:
    """Return a file's metadata, of each list its length, and how many tensors are of each type."""
    from gguf import GGUFReader, GGUFValueType

    reader = GGUFReader(path)
    fields = {
        name: len(held.data) if held.types[0] is GGUFValueType.ARRAY else held.contents()
        for name, held in reader.fields.items()
        if held.types
    }
    return fields, Counter(tensor.tensor_type.name for tensor in reader.tensors)


def _gguf_rows(
    name: str, path: Path, fields: Mapping[str, Any], tensors: Counter[str]
) -> Iterator[tuple[str, str]]:
    from gguf import LlamaFileType

    names, kind = _names(), fields.get("general.architecture", "?")

    def told(key: str) -> Any:
        return fields.get(f"{kind}.{key}")

    yield names["layout"], f"GGUF, {kind}, {fields.get('general.name', path.stem)}"
    yield names["place"], str(path)
    if "tokenizer.chat_template" in fields:
        yield _chat_row("jinja", say(zh="文件里有对话模板", en="the file has a chat template"))
    else:
        yield _chat_row("plain", say(zh="没有对话模板", en="there is no chat template"))
    words = fields.get("tokenizer.ggml.tokens", 0)
    yield names["tokenizer"], f"{fields.get('tokenizer.ggml.model', '?')}, {words:,}"
    heads, hidden = told("attention.head_count"), told("embedding_length")
    size = told("attention.key_length") or (hidden // heads if heads and hidden else None)
    yield from _sizes(
        layers=told("block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=told("attention.head_count_kv") or heads,
        head_dim=size,
        vocabulary=told("vocab_size") or words,
        context=told("context_length"),
        window=told("attention.sliding_window"),
    )
    known = {int(member): member.name.removeprefix("MOSTLY_") for member in LlamaFileType}
    quantization = known.get(fields.get("general.file_type", -1), "?")
    kinds = ", ".join(f"{count} {kind}" for kind, count in tensors.most_common())
    yield names["stored"], say(zh=f"{quantization}（{kinds}）", en=f"{quantization} ({kinds})")
    yield names["files"], _files([path])
    yield names["loading"], _converted_first()
    yield names["train"], _command(name, 8)


def _converted_first() -> str:
    return say(
        zh="第一次用时转换，此后逐个张量载入",
        en="converted at its first use, then streamed tensor after tensor",
    )


# --- a folder --------------------------------------------------------------------------------


def _folder(source: BaseSource) -> Inspection:
    names, told = _names(), read_config(source.folder)
    seen = Inspection()
    seen.rows += [
        (names["layout"], _layout(source, str(told.get("model_type", "?")))),
        (names["place"], str(source.folder)),
    ]
    network = _attempt(seen, _network, source)
    if source.official and is_first_generation(told):
        return seen  # all else that differs follows from this
    own, reason = chat_format_of(source.folder)
    if source.chat_format != own:
        reason = say(zh="登记的", en="as registered")
    seen.rows.append(_chat_row(source.chat_format, reason))
    chat = _attempt(seen, _chat, source)
    if chat:
        seen.rows.append((names["tokenizer"], _tokenizer(chat)))
    if network:
        seen.rows += _network_sizes(network)
        if chat:
            seen.faults += _vocabulary_faults(source, network, chat)
    files = _attempt(seen, _shards, source, seen)
    if files is not None:
        _look_at_weights(seen, source, network, files)
    seen.rows += [
        (names["sha256"], source.sha256),
        (names["train"], _command(source.name, source.bits or 8)),
    ]
    return seen


def _attempt(seen: Inspection, step: Any, *arguments: Any) -> Any:
    """Return what a step returns, or note its faults and go on without."""
    try:
        return step(*arguments)
    except RensheError as error:
        seen.faults += error.faults
        return None


def _network(source: BaseSource) -> Any:
    from trainer.model import empty_network

    network = empty_network(source)
    network.tie_weights()
    return network


def _chat(source: BaseSource) -> Chat:
    from trainer.model import load_chat

    return load_chat(source)


def _tokenizer(chat: Chat) -> str:
    from trainer.glm_tokenizer import GlmTokenizer

    tokenizer = chat.tokenizer
    if isinstance(tokenizer, GlmTokenizer):
        pieces = tokenizer.largest_id + 1
        return say(
            zh=f"sentencepiece，{pieces:,} 片，另有 {len(tokenizer) - pieces} 个控制 token",
            en=f"sentencepiece, {pieces:,} pieces and {len(tokenizer) - pieces} control tokens",
        )
    return f"Hugging Face, {len(tokenizer):,}"


def _vocabulary_faults(source: BaseSource, network: Any, chat: Chat) -> Iterator[Fault]:
    from trainer.model import vocabulary_fault

    if fault := vocabulary_fault(source, network, chat):
        yield fault
    words, rows = len(chat.tokenizer), network.get_input_embeddings().weight.shape[0]
    if words < _SPARE * rows:
        yield Fault(
            say(
                zh=f"分词器只有 {words:,} 个 token，底座的词表有 {rows:,}：它们是一套吗？",
                en=f"the tokenizer has {words:,} tokens, the base's vocabulary {rows:,}: "
                "are they of one model?",
            ),
            source.folder,
            fix=say(
                zh="如果不是，把和权重一起发布的分词器复制过来",
                en="if not, copy the tokenizer that was published with the weights",
            ),
            code="tokenizer-small",
            severity="warning",
        )


def _shards(source: BaseSource, seen: Inspection) -> list[Path]:
    """Return the shards that can be opened; every other one is a fault."""
    from trainer.weights import file_fault, listed_files

    usable = []
    for path in listed_files(source.folder):
        if fault := file_fault(path):
            seen.faults.append(fault)
        else:
            usable.append(path)
    return usable


def _look_at_weights(
    seen: Inspection, source: BaseSource, network: Any, files: Sequence[Path]
) -> None:
    """Hold the names and shapes that the shards tell against the model's."""
    from trainer.model import foreign_names, named_tensors
    from trainer.weights import misfits, read_headers

    names = _names()
    tensors = [one for path in files for one in _attempt(seen, list, read_headers([path])) or []]
    size = Counter[str]()
    for _, _, tensor in tensors:
        size[str(tensor.dtype).removeprefix("torch.")] += tensor.numel() * tensor.element_size()
    if network and tensors:
        parameters = sum(parameter.numel() for parameter in network.parameters())
        seen.rows.append((names["stored"], _stored(source, size, parameters)))
    seen.rows.append((names["files"], _files(files)))
    if not network:
        return
    foreign = set() if source.official else foreign_names(network, [name for _, name, _ in tensors])
    seen.rows.append((names["loading"], _loading(source, network, foreign)))
    if not foreign:
        own = named_tensors(source, network, tensors)
        whole = not any(fault.code.startswith("weights-") for fault in seen.faults)
        seen.faults += misfits(network, own, source.folder, bits=source.bits, whole=whole)


def _stored(source: BaseSource, size: Counter[str], parameters: int) -> str:
    kinds = ", ".join(f"{kind} {_amount(number)}" for kind, number in size.most_common())
    if source.bits:
        packed = say(zh=f"压缩成 int{source.bits}", en=f"packed to int{source.bits}")
        kinds = f"{packed}: {kinds}"
    return say(zh=f"{parameters:,} 个参数，{kinds}", en=f"{parameters:,} parameters, {kinds}")


def _loading(source: BaseSource, network: Any, foreign: set[str]) -> str:
    if source.bits:
        return say(zh="逐个张量载入，不解压", en="streamed tensor after tensor, as it is packed")
    if not foreign:
        return say(zh="逐个张量载入并量化", en="streamed and quantized tensor after tensor")
    if getattr(network.config, "quantization_config", None) is not None:
        return say(zh="整个载入：它已由别的库量化", en="loaded whole: another library quantized it")
    return say(
        zh=f"整个载入：transformers 要先改 {len(foreign)} 个名字，如 {min(foreign)}",
        en=f"loaded whole: transformers must rename {len(foreign)} tensors first, "
        f"{min(foreign)} for one",
    )


# --- words -----------------------------------------------------------------------------------


def _names() -> dict[str, str]:
    return {
        "layout": say(zh="格式", en="layout"),
        "place": say(zh="位置", en="place"),
        "chat": say(zh="对话格式", en="chat format"),
        "tokenizer": say(zh="分词器", en="tokenizer"),
        "layers": say(zh="层数", en="layers"),
        "hidden": say(zh="隐藏维度", en="hidden size"),
        "heads": say(zh="注意力头", en="attention heads"),
        "kv_heads": say(zh="键值头", en="key/value heads"),
        "head_dim": say(zh="每头维度", en="head size"),
        "vocabulary": say(zh="词表", en="vocabulary"),
        "context": say(zh="上下文", en="context"),
        "window": say(zh="滑动窗口", en="sliding window"),
        "stored": say(zh="权重", en="weights"),
        "files": say(zh="文件", en="files"),
        "loading": say(zh="载入方式", en="loading"),
        "sha256": "sha256",
        "train": say(zh="训练", en="train on it"),
    }


def _network_sizes(network: Any) -> Iterator[tuple[str, str]]:
    config = network.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    size = getattr(config, "head_dim", None) or (config.hidden_size // heads if heads else None)
    layers = getattr(config, "layer_types", None) or []
    sliding = layers.count("sliding_attention")
    window = getattr(config, "sliding_window", None)
    if window and layers:
        window = sliding and say(
            zh=f"{window}（{len(layers)} 层中的 {sliding} 层）",
            en=f"{window} ({sliding} of {len(layers)} layers)",
        )
    return _sizes(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=size,
        vocabulary=network.get_input_embeddings().weight.shape[0],
        context=getattr(config, "max_position_embeddings", None),
        window=window,
    )


def _sizes(**sizes: Any) -> Iterator[tuple[str, str]]:
    """Yield a row for each size that is told; those without a sliding window see everything."""
    names = _names()
    for key, value in sizes.items():
        if value:
            yield names[key], f"{value:,}" if isinstance(value, int) else str(value)
        elif key == "window":
            yield names[key], say(zh="没有", en="none")


def _chat_row(chat_format: str, reason: str) -> tuple[str, str]:
    return _names()["chat"], say(
        zh=f"{chat_format}：{reason}（要换：--set chat_format=…）",
        en=f"{chat_format}: {reason} (to overrule: --set chat_format=…)",
    )


def _files(files: Sequence[Path]) -> str:
    total = _amount(sum(path.stat().st_size for path in files))
    return say(zh=f"{len(files)} 个，{total}", en=f"{len(files)}, {total}")


def _amount(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number / 1e3:.1f} kB"


def _command(name: str, bits: int) -> str:
    return f"renshe train personas/muxue.yaml --base {shlex.quote(name)} --bits {bits} --out run"
