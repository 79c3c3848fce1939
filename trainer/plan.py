"""What a run will take, before it is begun: memory by part, time, and cost.

A card is rented and a night is spent on the word of a table on the web. Here loading and
one step are rehearsed for this base, these settings and these lengths, from the
configuration alone: none of the weights are read, and a folder with only ``config.json``
is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM

from trainer.bases import BaseSource
from trainer.batches import collate, encode_example, epoch_batches
from trainer.chat import IGNORE, Chat
from trainer.config import TrainConfig, steps_of
from trainer.errors import BaseModelError
from trainer.glm import glm_config, read_config
from trainer.language import say
from trainer.model import Base
from trainer.prefix import Prefix, text_prefix
from trainer.quantize import Bits, QuantizedLinear
from trainer.rehearsal import Allocations, nbytes, without_numbers
from trainer.start import LENGTH
from trainer.training_set import TrainingSet
from trainer.weights import stream_weights, without_memory

Device = Literal["cpu", "cuda"]

PROCESS = {"cpu": 380_000_000, "cuda": 600_000_000}
"""Bytes that are there before any model. On the CPU measured: the peak of a run on a base of
0.7 MB with sentencepiece's tokenizer (Python, PyTorch 2.13, transformers 5.23, x86-64). On
CUDA not measured: an allowance for the context and the libraries' workspaces."""

TOKENIZER_WORD = 1_330
"""Bytes a word that a tokenizer of transformers takes; measured with 262,144 words. It is in
the process's memory, never on a card; sentencepiece's own takes far less."""

WORDS = 2_000
"""Different words that a persona's data is taken to have where there is no data to count."""

DEV_ROWS = 16
"""Conversations in a batch of the dev loss, and below how many positions are scored at once."""
DEV_POSITIONS = 256


@dataclass(frozen=True)
class Account:
    """Bytes that a run holds when it holds the most, by part.

    Attributes:
        linear_layers: their weights, packed or dense.
        row_scales: of packed weights.
        embedding: as it is kept; the output layer too, where the two are one.
        output_layer: as it is kept.
        norms: norms, biases and tables of angles.
        prefix: what is trained, float32.
        optimizer: its gradient and Adam's two moments.
        activations: what the layers keep for the backward pass and compute with.
        unpacked_layer: the one layer that is unpacked at that moment.
        keys_values: of prefix and tokens, as attention sees them.
        head: rows of the output layer, scores, and their gradients.
        process: measured constants, :data:`PROCESS` and :data:`TOKENIZER_WORD`.
        moment: ``step`` if a training step holds the most, ``dev`` if the dev loss does.
    """

    linear_layers: int
    row_scales: int
    embedding: int
    output_layer: int
    norms: int
    prefix: int
    optimizer: int
    activations: int
    unpacked_layer: int
    keys_values: int
    head: int
    process: int
    moment: Literal["step", "dev"]

    @property
    def parts(self) -> dict[str, int]:
        """The parts by name, in bytes."""
        return {name: size for name, size in asdict(self).items() if name != "moment"}

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Shape:
    """How large the largest batch is.

    Attributes:
        rows: conversations in it.
        tokens: in each, padding included, the prefix not.
        targets: tokens in the whole batch that are learnt.
        words: different ones in the data.
        pre_seq_len: positions in the prefix.
        dev: conversations in a batch of the dev loss; none if there is no dev data.
        dev_tokens: in each of them; 0 for as many as in training.
    """

    rows: int
    tokens: int
    targets: int
    words: int = WORDS
    pre_seq_len: int = LENGTH
    dev: int = DEV_ROWS
    dev_tokens: int = 0


@dataclass(frozen=True)
class Work:
    """How much there is to compute.

    Attributes:
        steps: updates.
        tokens: in all of them; without data an upper bound.
        epochs: how often each example is seen, if the data is known.
    """

    steps: int
    tokens: int
    epochs: float | None

    def hours(self, speed: float) -> float:
        """Return how long it takes at ``speed`` tokens a second."""
        return self.tokens / speed / 3600


# --- from the settings and the data --------------------------------------------------------


def read_base_config(source: BaseSource) -> Any:
    """Return a base's configuration as transformers knows it.

    Raises:
        BaseModelError: transformers does not know it, or it is wrong.
    """
    if source.official:
        return glm_config(source.folder)
    with _understood(source.folder):
        return AutoConfig.from_pretrained(source.folder, local_files_only=True)


def stores_half(folder: Path) -> bool:
    """Say whether a folder's ``config.json`` calls its weights 16 bits wide."""
    told = read_config(folder)
    return str(told.get("dtype") or told.get("torch_dtype")) in ("float16", "bfloat16")


def longest(config: TrainConfig) -> Shape:
    """Return the largest batch that the settings allow."""
    rows = config.per_device_train_batch_size
    return Shape(
        rows=rows,
        tokens=config.max_source_length + config.max_target_length,
        targets=rows * config.max_target_length,
        pre_seq_len=config.pre_seq_len or LENGTH,
    )


def measure(data: TrainingSet, chat: Chat, config: TrainConfig) -> tuple[Shape, Work]:
    """Return the largest batch that the data makes in its first epoch, and the work.

    Raises:
        DatasetError: an example does not fit the settings.
    """
    lessons = [encode_example(chat, e.messages, config) for e in data.dataset.train]
    batches = epoch_batches(lessons, config, 0)
    steps = steps_of(config, len(batches), is_mix=data.dataset.manifest.mix is not None)
    rows = [row for batch in batches for row in batch]
    dev = [row for e in data.dataset.dev for row in encode_example(chat, e.messages, config)]
    opening = chat.opening(data.persona.summary)
    nowhere = torch.device("cpu")
    packed = [collate(batch, nowhere) for batch in batches]
    largest = max(packed, key=lambda batch: batch.ids.numel()).ids.shape
    asked = collate(dev[:DEV_ROWS], nowhere).ids.shape if dev else (0, 0)
    shape = Shape(
        rows=largest[0],
        tokens=largest[1],
        targets=max(int((batch.targets != IGNORE).sum()) for batch in packed),
        words=len({word for row in [*rows, *dev] for word in row.ids}),
        pre_seq_len=config.pre_seq_len or max(LENGTH, len(opening)),
        dev=asked[0],
        dev_tokens=asked[1],
    )
    micro = steps * config.gradient_accumulation_steps
    tokens = sum(int(batch.real.sum()) for batch in packed) * micro // len(batches)
    return shape, Work(steps, tokens, micro / len(batches))


def most_work(config: TrainConfig) -> Work | None:
    """Return the work if every batch is as large as allowed; without steps none is known."""
    if config.max_steps is None:
        return None
    shape = longest(config)
    micro = config.max_steps * config.gradient_accumulation_steps
    return Work(config.max_steps, shape.rows * shape.tokens * micro, None)


# --- memory --------------------------------------------------------------------------------


def memory(
    config: Any,
    bits: Bits | None,
    train_config: TrainConfig,
    device: Device,
    stored_half: bool,
    shape: Shape | None = None,
) -> Account:
    """Return what a run holds when it holds the most, loading aside.

    While it is loaded, a folder whose weights are yet to be packed takes a shard more than
    its packed weights.

    Args:
        config: of the base, as transformers knows it.
        bits: of its linear layers.
        train_config: lengths, batch, prefix, and whether layers are computed again.
        device: where it runs: in float32 on the CPU, in 16 bits on CUDA, whose attention
            kernels are taken to keep what the CPU's keep.
        stored_half: the weights' files are 16 bits wide.
        shape: of the largest batch; without it what ``train_config`` allows.

    Raises:
        BaseModelError: transformers has no causal language model for ``config``.
        ConfigError: the base cannot be packed to ``bits``.
    """
    shape = shape or longest(train_config)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    with without_numbers():
        network = _network(config, bits, dtype, stored_half)
        base = _base(network, bits, dtype)
        prefix = text_prefix(network, [0] * shape.pre_seq_len)
        for parameter in prefix.parameters():
            parameter.grad = torch.zeros_like(parameter)
        step = _step_peak(base, prefix, shape, train_config)
        dev = _dev_peak(base, prefix, shape) if shape.dev else {}
        moment: Literal["step", "dev"] = "dev" if _sum(dev) > _sum(step) else "step"
        trained = sum(nbytes(parameter) for parameter in prefix.parameters())
        return Account(
            **_weights(network),
            prefix=trained,
            optimizer=3 * trained,
            **(dev if moment == "dev" else step),
            process=PROCESS[device] + (device == "cpu") * TOKENIZER_WORD * base.vocabulary,
            moment=moment,
        )


def _network(config: Any, bits: Bits | None, dtype: torch.dtype, half: bool) -> Any:
    """Load the base as :func:`trainer.model.load_base` does, from weights without numbers."""
    maker: Any = AutoModelForCausalLM
    with without_memory(), _understood(Path(str(config.name_or_path or "config.json"))):
        network: Any = maker.from_config(config, attn_implementation="sdpa")
    stored = torch.float16 if half else torch.float32
    # A tied output layer is in no file.
    tied = dict(getattr(network, "_tied_weights_keys", None) or {})
    left_out = set(tied) if config.tie_word_embeddings else set()
    # Fake parameters cannot be swapped for moved ones, and there is nowhere to move them to.
    network.to = lambda *_: network
    shapes = {n: tuple(t.shape) for n, t in network.state_dict().items() if n not in left_out}
    stream_weights(
        network,
        ((Path(), name, torch.empty(size, dtype=stored)) for name, size in shapes.items()),
        Path(),
        bits=bits,
        packed=False,
        place=torch.device("cpu"),
        dtype=dtype,
    )
    return network.requires_grad_(False).eval()


def _base(network: Any, bits: Bits | None, dtype: torch.dtype) -> Base:
    """Return a base that can compute, but neither read nor speak."""
    nothing: Any = None
    return Base(nothing, network, nothing, bits, dtype)


def _weights(network: Any) -> dict[str, int]:
    """Return the bytes of the network's own tensors by part; shared ones count once."""
    sizes = dict.fromkeys(("linear_layers", "row_scales", "embedding", "output_layer", "norms"), 0)
    places = {
        id(network.get_input_embeddings()): "embedding",
        id(network.get_output_embeddings()): "output_layer",
    }
    seen: set[int] = set()
    for module in network.modules():
        own = [*module._parameters.items(), *module._buffers.items()]
        for name, tensor in own:
            if tensor is None or id(tensor.untyped_storage()) in seen:
                continue
            seen.add(id(tensor.untyped_storage()))
            sizes[places.get(id(module)) or _part(module, name)] += nbytes(tensor)
    return sizes


def _part(module: nn.Module, name: str) -> str:
    if name == "weight_scale":
        return "row_scales"
    linear = isinstance(module, QuantizedLinear | nn.Linear)
    return "linear_layers" if linear and name == "weight" else "norms"


class _Kinds:
    """Names what the tensors of a step are for; ``head`` is set while the head computes."""

    def __init__(self, attended: int) -> None:
        self._attended = attended
        self.head = False

    def __call__(self, sources: Any, made: Tensor) -> str:
        if self.head:
            return "head"
        if made.dtype == torch.int8 or any(source.dtype == torch.int8 for source in sources):
            return "unpacked_layer"
        if made.dim() >= 4 and made.shape[-2] == self._attended:
            return "keys_values"
        return "activations"


def _step_peak(base: Base, prefix: Prefix, shape: Shape, config: TrainConfig) -> dict[str, int]:
    kinds = _Kinds(shape.pre_seq_len + shape.tokens)
    with Allocations(kinds) as made:
        torch.autograd.backward(_loss(base, prefix, shape, config, kinds))
    return _parts(made)


def _loss(base: Base, prefix: Prefix, shape: Shape, config: TrainConfig, kinds: _Kinds) -> Tensor:
    """Go through one batch as :meth:`trainer.head.SampledHead.loss` does."""
    states = _hidden(base, prefix, shape.rows, shape.tokens, config.gradient_checkpointing)
    wanted = torch.zeros(shape.targets, dtype=torch.long)
    states = states.flatten(0, 1)[wanted]
    kinds.head = True
    when_back: Any = states.register_hook
    when_back(lambda _gradient: setattr(kinds, "head", False))
    words = shape.words + config.head_sample
    if not config.head_sample or words >= base.vocabulary:
        return cross_entropy(base.logits(states), wanted, reduction="sum")
    logits = base.logits(states, torch.zeros(words, dtype=torch.long))
    return cross_entropy(logits + logits.new_zeros(words), wanted, reduction="sum")


@torch.no_grad()
def _dev_peak(base: Base, prefix: Prefix, shape: Shape) -> dict[str, int]:
    """Go through a batch of the dev loss as :func:`trainer.head.full_loss` does."""
    tokens = shape.dev_tokens or shape.tokens
    kinds = _Kinds(shape.pre_seq_len + tokens)
    with Allocations(kinds) as made:
        states = _hidden(base, prefix, shape.dev, tokens)
        targets = -(-shape.targets // shape.rows) * shape.dev
        wanted = torch.zeros(min(targets, DEV_POSITIONS), dtype=torch.long)
        kinds.head = True
        cross_entropy(base.logits(states.flatten(0, 1)[wanted]), wanted, reduction="sum")
    return _parts(made)


def _hidden(base: Base, prefix: Prefix, rows: int, tokens: int, recompute: bool = False) -> Tensor:
    ids = torch.zeros(rows, tokens, dtype=torch.long)
    return base.hidden(ids, torch.ones_like(ids).bool(), prefix, recompute=recompute)


def _parts(made: Allocations) -> dict[str, int]:
    names = ("activations", "unpacked_layer", "keys_values", "head")
    return {name: made.peak[name] for name in names}


def _sum(parts: dict[str, int]) -> int:
    return sum(parts.values())


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseModelError(
            say(
                zh=f"transformers 不认识这个模型：{error}",
                en=f"transformers does not know this model: {error}",
            ),
            path=path,
            fix=say(
                zh="需要 transformers 自带的因果语言模型，不运行模型附带的代码",
                en="it must be a causal LM that transformers itself knows; no remote code is run",
            ),
            code="base-unreadable",
        ) from error
