"""The only place where a model is built.

A base is a transformers model that is frozen and, if asked, packed to int8 or int4,
together with its chat format. Everything that runs it (training, evaluation, chat)
goes through :meth:`Base.hidden` and :meth:`Base.logits`, so that the prefix, the
attention mask and the positions are put together once: leaving one out is silently
wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache

from trainer.backends import Choice, choose_backend, served_by
from trainer.bases import BaseSource, Report, find_base, pointer_fault, refuse_other_bits
from trainer.chat import Chat, Encoded, Message, Tokenizer, latest_rounds
from trainer.checkpoint import Card, Checkpoint, open_checkpoint, verify_base
from trainer.errors import BaseModelError, ConfigError, Fault
from trainer.glm import glm_config, translated
from trainer.glm_tokenizer import GlmTokenizer
from trainer.language import say
from trainer.prefix import Prefix, attention_mask, behind, counted, text_prefix
from trainer.quantize import TORCH, Backend, Bits, quantize_linears
from trainer.weights import (
    read_tensors,
    stream_weights,
    tensor_names,
    weight_files,
    without_memory,
)


@dataclass(frozen=True)
class Base:
    """A frozen base model with its chat format.

    Attributes:
        source: where it came from.
        network: the transformers model, in evaluation mode, without gradients.
        chat: makes ids out of messages.
        bits: 8, 4, or nothing when the weights are dense.
        dtype: in which it computes.
        backend: what unpacks the weights, and why; nothing when they are dense.
    """

    source: BaseSource
    network: Any
    chat: Chat
    bits: Bits | None
    dtype: torch.dtype
    backend: Choice | None = None

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return torch.device(self.network.device)

    @property
    def context(self) -> int:
        """Longest sequence the base was made for, prefix included."""
        return int(self.network.config.max_position_embeddings)

    @property
    def stop_ids(self) -> set[int]:
        """Ids at which a reply ends: the chat format's, and those of the model itself."""
        eos = self.network.config.eos_token_id
        own = eos if isinstance(eos, list) else [eos]
        return {self.chat.stop_id, *(id for id in own if id is not None)}

    @property
    def turns(self) -> bool:
        """Positions are rotations, so that a history can stand before the first of them.

        Learned positions (GPT-2's) have no place there.
        """
        return getattr(self.network.config, "rope_parameters", None) is not None

    def encode(
        self, messages: Sequence[Message], prefix: Prefix | None, *, system: str | None = None
    ) -> Encoded:
        """Turn a conversation into ids as it stands behind a prefix, or behind none.

        Args:
            messages: see :meth:`trainer.chat.Chat.encode`.
            prefix: a trained prefix; an anchored one stands before the last round.
            system: a system text, for a base without prefix.
        """
        return self.chat.encode(
            messages,
            system=system,
            prefixed=prefix is not None,
            apart=prefix is not None and prefix.anchored,
        )

    def new_cache(self, batch: int, prefix: Prefix | None) -> Any:
        """Return a cache for ``batch`` sequences, which holds the prefix if there is one."""
        return prefix.cache(batch, self.dtype) if prefix else DynamicCache()

    def hidden(
        self,
        ids: Tensor,
        real: Tensor,
        prefix: Prefix | None,
        cache: Any = None,
        *,
        where: Tensor | None = None,
        pieces: Tensor | None = None,
        history: int = 0,
        recompute: bool = False,
    ) -> Tensor:
        """Return the last layer's states of ``ids``.

        Args:
            ids: ``[batch, queries]``, the newest tokens.
            real: ``[batch, length]`` bool over all tokens so far, false on padding.
            prefix: stands before every sequence.
            cache: holds the prefix and the earlier tokens, as a former call filled it;
                without one ``ids`` are all there is.
            where: ``[batch, length]`` positions of all tokens so far, counted without the
                prefix, negative for a history; by default real tokens are counted from 0.
            history: so many first columns are history, which no gradient goes through:
                they are read before the rest, of which the states are returned; without
                a cache only.
            pieces: see :func:`trainer.prefix.attention_mask`.
            recompute: keep only each layer's input for the backward pass (gradient
                checkpointing, Chen et al., arXiv 1604.06174); without a cache only.

        Returns:
            ``[batch, queries - history, hidden]``.
        """
        length = prefix.length if prefix else 0
        if where is None:
            where = counted(real)
        reads_on = cache is not None
        if cache is None and prefix:
            said = self._read(ids, real, where, pieces, history) if history else None
            cache = prefix.read_only_cache(len(ids), self.dtype, said)
            ids = ids[:, history:]
        queries = ids.shape[1]
        # While decoding, the cache may hold one; what is read without a prefix has none.
        told = length > 0 and (history > 0 or reads_on)
        mask = attention_mask(
            self.network.config,
            real,
            length,
            queries,
            where=where,
            pieces=pieces,
            history=told,
            dtype=self.dtype,
        )
        with _recomputed_layers(self.network) if recompute else nullcontext():
            output = self.network.base_model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=behind(where, length)[:, where.shape[1] - queries :],
                past_key_values=cache,
                use_cache=cache is not None,
            )
        states: Tensor = output.last_hidden_state
        return states

    @torch.no_grad()
    def _read(
        self, ids: Tensor, real: Tensor, where: Tensor, pieces: Tensor | None, history: int
    ) -> DynamicCache:
        """Return a cache of the first columns, which do not see the prefix."""
        cache, first = DynamicCache(), slice(history)
        self.hidden(
            ids[:, first],
            real[:, first],
            None,
            cache,
            where=where[:, first],
            pieces=None if pieces is None else pieces[:, :, first],
        )
        return cache

    @property
    def vocabulary(self) -> int:
        """Rows of the output layer."""
        return int(self.network.get_output_embeddings().weight.shape[0])

    def logits(self, states: Tensor, words: Tensor | None = None) -> Tensor:
        """Return scores of the next token, in float32.

        Args:
            states: ``[..., hidden]``.
            words: ids to score; without them the whole vocabulary.

        Returns:
            ``[..., words]``.
        """
        head = self.network.get_output_embeddings()
        if words is None:
            scores: Tensor = head(states).float()
        else:
            rows = head.weight[words].to(states.dtype)
            scores = torch.nn.functional.linear(states, rows).float()
        cap: float | None = getattr(self.network.config, "final_logit_softcapping", None)
        return torch.tanh(scores / cap) * cap if cap else scores


@contextmanager
def _recomputed_layers(network: Any) -> Iterator[None]:
    """Let each layer keep only its input, and compute the rest again in the backward pass.

    transformers' own gradient checkpointing takes the cache away from the layers, and the
    prefix with it: the loss is off and its gradient is none. The layers here keep theirs,
    which is read only, so that running a layer twice changes nothing.
    """
    layers = network.base_model.layers
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own shows again


def load_base(
    name: str,
    *,
    bits: Bits | None = 8,
    device: str = "auto",
    dtype: str = "auto",
    chat_format: str | None = None,
    backend: str = "auto",
    report: Report = lambda _stage, _done: None,
) -> Base:
    """Load a base, frozen, packed to ``bits``.

    Args:
        name: a registered name, an official ChatGLM folder, a Hugging Face folder or a
            ``.gguf`` file.
        bits: 8 or 4; nothing keeps the weights dense.
        device: ``cpu``, ``cuda``, or ``auto``.
        dtype: what is computed in: ``float32``, ``bfloat16``, ``float16``, or ``auto``.
        chat_format: overrules the base's own.
        backend: what unpacks the weights: ``torch``, ``cpm_kernels``, ``bitsandbytes``, or
            ``auto`` (:func:`trainer.backends.choose_backend`).
        report: told of the progress.

    Raises:
        BaseModelError: if the base is missing, damaged or of a kind that cannot be tuned.
        ConfigError: for a device, type, chat format or backend that there is not, or if
            the base is stored in other bits.
    """
    place = pick_device(device)
    computes = pick_dtype(dtype, place)
    source = find_base(name, report)
    refuse_other_bits(source, bits)
    choice = choose_backend(
        backend, bits=bits, stored=source.bits is not None, place=place, dtype=computes
    )
    stage = say(zh="载入底座", en="loading the base")
    report(stage, 0.0)
    # The tokenizer first: to find it missing after a minute of reading weights is cruel.
    network = empty_network(source)
    chat = load_chat(source, chat_format)
    if fault := vocabulary_fault(source, network, chat):
        raise BaseModelError(faults=(fault,))
    unpacks = choice.backend if choice else TORCH
    network = _load_network(
        source, network, bits, place, computes, unpacks, lambda done: report(stage, done)
    )
    network.requires_grad_(False).eval()
    base = Base(source, network, chat, bits, computes, choice)
    _check_head(base)
    report(stage, 1.0)
    return base


@dataclass(frozen=True)
class Tuned:
    """A base with the prefix that was trained on it.

    Attributes:
        base: the frozen base.
        prefix: the trained prefix.
        card: what the checkpoint says of itself; the persona and the trained depth.
    """

    base: Base
    prefix: Prefix
    card: Card

    def window(self, messages: Sequence[Message], reserve: int = 128) -> tuple[Message, ...]:
        """Return the newest rounds: no more than were trained, and no more than fit.

        A persona falls apart where it was never trained, so the window is the trained
        depth; ``reserve`` tokens are kept free for the reply.
        """
        room = self.base.context - self.prefix.length - reserve

        def fits(rounds: Sequence[Message]) -> bool:
            return (len(rounds) + 1) // 2 <= self.card.depth and (
                len(self.base.encode(rounds, self.prefix).ids) <= room
            )

        return latest_rounds(messages, fits)


def load_tuned(
    run: Path | str,
    *,
    device: str = "auto",
    report: Report = lambda _stage, _done: None,
) -> Tuned:
    """Load a run's last checkpoint with the base, bits and chat format it was trained on.

    Args:
        run: a run folder, or a ``checkpoint-N`` folder.
        device: ``cpu``, ``cuda``, or ``auto``.
        report: told of the progress.

    Raises:
        CheckpointError: there is none, it is damaged, or the base is another one now.
        BaseModelError: the base is missing or damaged.
    """
    checkpoint = open_checkpoint(run)
    return attach(checkpoint, load_base_of(checkpoint, device=device, report=report))


def load_base_of(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    report: Report = lambda _stage, _done: None,
) -> Base:
    """Load the base of a checkpoint as it was when the prefix was trained.

    Raises:
        CheckpointError: the base is another one now.
        BaseModelError: the base is missing or damaged.
    """
    card = checkpoint.card
    verify_base(checkpoint, card.base, find_base(card.base, report).sha256)
    return load_base(
        card.base,
        bits=card.bits,
        device=device,
        chat_format=card.chat_format,
        backend=served_by(card.settings.quantization_backend),
        report=report,
    )


def attach(checkpoint: Checkpoint, base: Base) -> Tuned:
    """Put a checkpoint's prefix before its base; several may share one base."""
    card = checkpoint.card
    prefix = Prefix.from_tensors(checkpoint.tensors(), anchored=card.anchored and base.turns)
    return Tuned(base, prefix.to(base.device).requires_grad_(False), card)


def load_chat(source: BaseSource, chat_format: str | None = None) -> Chat:
    """Return the chat format of a base, without its weights."""
    return Chat(chat_format or source.chat_format, load_tokenizer(source))


def pick_device(device: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ConfigError: if there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if device in ("cpu", *cards) or (device == "cuda" and cards):
        return torch.device(device)
    raise ConfigError(
        say(zh=f"没有 {device!r} 这个设备", en=f"there is no device {device!r}"),
        fix=say(zh="用 auto 或 cpu", en="use auto or cpu"),
        code="device",
    )


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_dtype(dtype: str, place: torch.device) -> torch.dtype:
    """Return what to compute in: by default float32 on the CPU, else the card's 16 bits.

    Raises:
        ConfigError: if there is no such type.
    """
    if dtype == "auto":
        if place.type == "cpu":
            return torch.float32
        # float16 overflows where bfloat16 does not, but cards before Ampere lack the latter.
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bfloat16 else torch.float16
    if dtype in _DTYPES:
        return _DTYPES[dtype]
    raise ConfigError(
        say(zh=f"没有 {dtype!r} 这种数值类型", en=f"there is no number type {dtype!r}"),
        fix=say(zh="用 auto 或 ", en="use auto or ") + ", ".join(_DTYPES),
        code="dtype",
    )


def load_tokenizer(source: BaseSource) -> Tokenizer:
    """Load the tokenizer that lies beside the weights.

    Raises:
        BaseModelError: it is missing or damaged.
    """
    for name in ("tokenizer.model", "tokenizer.json"):
        if fault := pointer_fault(source.folder / name):
            raise BaseModelError(faults=(fault,))
    if source.official:
        return GlmTokenizer(source.folder)
    from transformers import AutoTokenizer

    with _reading(source):
        return HubTokenizer(AutoTokenizer.from_pretrained(source.folder, local_files_only=True))


class HubTokenizer:
    """A transformers tokenizer as :class:`trainer.chat.Tokenizer`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # Some bases (DeepSeek's) do not flag the tokens of their turns as special.
        added = tokenizer.added_tokens_decoder.values()
        names = [token.content for token in added if not token.special]
        turns = [re.escape(name[1:]) for name in names if re.fullmatch(r"<[|｜].*[|｜]>", name)]
        self._tear = re.compile(f"(?<=<)(?={'|'.join(turns)})" if turns else "(?!)")

    def __len__(self) -> int:
        return len(self._tokenizer)

    @property
    def largest_id(self) -> int:
        added = self._tokenizer.added_tokens_decoder.items()
        typed = (id for id, token in added if not token.special)
        largest: int = max(self._tokenizer.vocab_size - 1, *typed, 0)
        return largest

    def encode(self, text: str, *, markup: bool = False) -> list[int]:
        ids: list[int] = []
        for part in [text] if markup else self._tear.split(text):
            ids += self._tokenizer(part, add_special_tokens=False, split_special_tokens=not markup)[
                "input_ids"
            ]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    @property
    def bos(self) -> str:
        return self._tokenizer.bos_token or ""

    @property
    def eos(self) -> str:
        return self._tokenizer.eos_token or ""

    def render_template(self, messages: list[dict[str, str]], *, cue: bool) -> str:
        from jinja2 import TemplateError

        try:
            text: str = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=cue
            )
        except (TemplateError, ValueError) as error:  # ValueError: there is no template
            raise ConfigError(
                say(
                    zh=f"这个底座的对话模板用不了：{error}",
                    en=f"this base's chat template cannot be used: {error}",
                ),
                fix=say(zh="设 chat_format: plain", en="set chat_format: plain"),
                code="chat-template",
            ) from error
        return text


def vocabulary_fault(source: BaseSource, network: Any, chat: Chat) -> Fault | None:
    """Say so if the tokenizer makes ids that the base has no embedding for."""
    rows = network.get_input_embeddings().weight.shape[0]
    largest = max(chat.tokenizer.largest_id, chat.stop_id, *chat.opening())
    if largest < rows:
        return None
    return Fault(
        say(
            zh=f"分词器和底座不配：token 编号到 {largest}，底座的词表只有 {rows}",
            en=f"the tokenizer does not match the base: its ids go up to {largest}, but the "
            f"base's vocabulary has {rows}",
        ),
        source.folder,
        fix=say(
            zh="分词器和权重要出自同一个模型，重新下载分词器",
            en="tokenizer and weights must be of one model; download the tokenizer again",
        ),
        code="tokenizer-misfit",
    )


def empty_network(source: BaseSource) -> Any:
    """Return the transformers model of a base, whose parameters hold no memory yet.

    Raises:
        BaseModelError: the configuration is of no model that can be made.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, GlmForCausalLM

    maker: Any = AutoModelForCausalLM
    with _reading(source), without_memory():
        if source.official:
            config = glm_config(source.folder)
            config._attn_implementation = "sdpa"
            return GlmForCausalLM(config)
        config = AutoConfig.from_pretrained(source.folder, local_files_only=True)
        return maker.from_config(config, attn_implementation="sdpa")


Tensors = Iterable[tuple[Path, str, Tensor]]
"""File, name and tensor, as :func:`trainer.weights.read_tensors` yields them."""


def named_tensors(source: BaseSource, network: Any, tensors: Tensors) -> Tensors:
    """Yield the tensors of a base's files under the names they have in transformers."""
    if not source.official:
        return tensors
    return (
        (path, new, part)
        for path, name, tensor in tensors
        for new, part in translated(name, tensor, network.config)
    )


def _load_network(
    source: BaseSource,
    network: Any,
    bits: Bits | None,
    place: torch.device,
    dtype: torch.dtype,
    backend: Backend,
    report: Callable[[float], None],
) -> Any:
    """Stream the weights in; a layout that transformers must rearrange first is loaded whole."""
    files = weight_files(source.folder)
    if not source.official and foreign_names(network, tensor_names(files)):
        return _load_whole(source, bits, place, dtype, backend)
    stream_weights(
        network,
        named_tensors(source, network, read_tensors(files)),
        source.folder,
        bits=bits,
        packed=source.bits is not None,
        place=place,
        dtype=dtype,
        backend=backend,
        report=report,
    )
    return network


def foreign_names(network: Any, names: Iterable[str]) -> set[str]:
    """Return which names are not the model's own; all of them if another library packed it.

    Files without any can be streamed into the model as they are.
    """
    if getattr(network.config, "quantization_config", None) is not None:
        return set(names)
    return set(names) - set(network.state_dict())


def _load_whole(
    source: BaseSource,
    bits: Bits | None,
    place: torch.device,
    dtype: torch.dtype,
    backend: Backend,
) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    hush: Any = logging.disable_progress_bar
    hush()
    loader: Any = AutoModelForCausalLM
    with _reading(source):
        network, found = loader.from_pretrained(
            source.folder,
            dtype=dtype,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        # transformers would go on with random numbers in their place.
        if missing := sorted(found["missing_keys"]):
            raise ValueError(f"no weights for {', '.join(missing[:3])}")
        # These it would leave out: layers, where config.json is of a smaller model.
        if unknown := sorted(found["unexpected_keys"]):
            raise ValueError(f"no place in the model for {', '.join(unknown[:3])}")
    network.to(place)
    if bits is not None:
        quantize_linears(network, bits, keep=network.get_output_embeddings(), backend=backend)
    return network


_CONFUSED = (OSError, ValueError, LookupError, TypeError, AssertionError, RuntimeError)
"""What transformers raises over files that it cannot make sense of."""


@contextmanager
def _reading(source: BaseSource) -> Iterator[None]:
    """Name the folder that transformers could not make sense of."""
    from safetensors import SafetensorError

    try:
        yield
    except (*_CONFUSED, UnpicklingError, SafetensorError) as error:
        raise BaseModelError(
            say(
                zh=f"transformers 读不了这个底座：{error}",
                en=f"transformers cannot read this base: {error}",
            ),
            path=source.folder,
            fix=say(
                zh="需要 transformers 自带的因果语言模型，不运行模型附带的代码",
                en="it must be a causal LM that transformers itself knows; no remote code is run",
            ),
            code="base-unreadable",
        ) from error


def _check_head(base: Base) -> None:
    """Refuse an architecture whose prefix or output layer works otherwise than here."""
    ids = torch.tensor([[1, 2, 3]], device=base.device)
    with torch.no_grad():
        try:
            theirs = base.network(input_ids=ids).logits[:, -1].float()
            prefix = text_prefix(base.network, [1]).to(base.device)
            states = base.hidden(ids[:, 1:], torch.ones_like(ids[:, 1:]).bool(), prefix)
            ours = base.logits(states[:, -1])
        except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
            raise _unsupported(base) from error
    if not torch.allclose(theirs, ours, atol=0.05 * float(theirs.std()) + 1e-4):
        raise _unsupported(base)


def _unsupported(base: Base) -> BaseModelError:
    return BaseModelError(
        say(
            zh=f"还不支持这种模型结构：{base.network.config.model_type}",
            en=f"this architecture is not supported: {base.network.config.model_type}",
        ),
        path=base.source.folder,
        fix=say(zh="换一个底座", en="use another base"),
        code="base-head",
    )
