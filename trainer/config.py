"""Training settings, under the names people know from the official ``train.sh``.

Each field says what it does and what it costs, because this is the page a user reads
when a run did not go as hoped. Settings come from a YAML file and ``--set key=value``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from trainer.errors import ConfigError
from trainer.language import say
from trainer.strict_yaml import parse_yaml, read_text


class TrainConfig(BaseModel):
    """Settings of one training run."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    learning_rate: float = Field(6e-2, gt=0, le=1)
    """Step size of Adam. A prefix takes far larger steps than weights do."""
    max_steps: int | None = Field(None, ge=1)
    """Updates of the prefix; by default one pass over a mix, six over other data."""
    per_device_train_batch_size: int = Field(8, ge=1)
    """Replies taught in a batch: more is steadier, slower, and takes more memory."""
    gradient_accumulation_steps: int = Field(1, ge=1)
    """Batches before each update: a larger batch without its memory."""
    pre_seq_len: int | None = Field(None, ge=1)
    """Positions in the prefix (``train.sh``: 128); by default 256, or all of a longer summary."""
    prefix_init: str = "text"
    """``text`` (the summary, then the persona's own talk), ``random``, or a checkpoint's folder."""
    anchored: bool = True
    """The prefix stands before the last round; false is as other programs serve one."""
    max_source_length: int = Field(1024, ge=1)
    """Most tokens before the last reply; whole oldest rounds are dropped beyond it."""
    max_target_length: int = Field(512, ge=1)
    """Most tokens in a reply; a longer one is refused, not cut."""
    warmup_steps: int = Field(20, ge=0)
    """Updates over which the learning rate rises; it then falls linearly to zero."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients longer than this are shortened."""
    quantization_bit: Literal[4, 8] | None = 8
    """Bits of the frozen weights: 8, 4, or none to leave them as they are."""
    quantization_backend: Literal["auto", "torch", "cpm_kernels", "bitsandbytes"] = "auto"
    """What unpacks them; ``auto`` takes ``cpm_kernels`` on cards that it was made for."""
    head_sample: int = Field(4096, ge=0)
    """Words, besides those of the data, that the loss is taken over; 0 takes them all."""
    gradient_checkpointing: bool = False
    """Keep only each layer's input and compute the rest again: less memory, a third more time."""
    logging_steps: int = Field(10, ge=1)
    """Updates between two lines of the log."""
    save_steps: int = Field(200, ge=1)
    """Updates between two checkpoints; the dev loss is taken at each."""
    serve: Literal["auto", "last", "retention"] = "auto"
    """Which checkpoint answers: the ``last``, or the one that knows most, of what is taught and
    of dev, after ``retention_depth`` rounds of talk. ``auto`` is ``retention`` for a mix."""
    retention_depth: int = Field(8, ge=0, le=100)
    """Rounds of general talk before the questions that a checkpoint is chosen by."""
    probe_steps: int = Field(0, ge=0)
    """Updates between two times that the same few questions are answered, to be seen in
    ``probes.jsonl`` (:mod:`trainer.live_probes`); 0 asks none. It changes no weight."""
    probe_questions: int = Field(4, ge=1, le=64)
    """How many questions these are."""
    early_stopping_patience: int = Field(0, ge=0)
    """Stop after so many checkpoints without a better one; 0 never stops early."""
    chat_format: Literal["plain", "jinja", "chatglm2", "chatglm3"] | None = None
    """How a conversation is written; by default as the base was made for."""
    device: str = "auto"
    """``auto``, ``cpu``, or ``cuda``."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the base computes in; by default float32 on the CPU and 16 bits on a card."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Of the order of the data, the sampled words and a random prefix."""


def steps_of(config: TrainConfig, batches: int, *, is_mix: bool) -> int:
    """Return how many updates a run makes.

    Args:
        config: the settings; ``max_steps`` is taken if it is given.
        batches: in one pass over the data.
        is_mix: the data teaches everything many times in one pass (:mod:`trainer.mix`).
    """
    if config.max_steps is not None:
        return config.max_steps
    passes = 1 if is_mix else _PASSES
    return max(1, passes * batches // config.gradient_accumulation_steps)


_PASSES = 6
"""Over single questions: after these 沐雪's get their answers (``python -m benchmarks steps``)."""


def load_config(path: Path | str | None = None, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read training settings, see :func:`load_settings`."""
    return load_settings(TrainConfig, path, overrides)


Settings = TypeVar("Settings", bound=BaseModel)


def load_settings(
    kind: type[Settings], path: Path | str | None = None, overrides: Sequence[str] = ()
) -> Settings:
    """Read settings from a YAML file and ``key=value`` overrides.

    The overrides are read as YAML too, so ``quantization_bit=null`` means none.

    Raises:
        SourceError: the file cannot be read.
        ConfigError: with every setting that is wrong, and its place.
    """
    text = read_text(path) if path else "{}"
    place = Path(path) if path else None
    config, faults = parse_yaml(text, kind, place)
    if config is None:
        raise ConfigError(faults=tuple(faults))
    for override in overrides:
        config = _overridden(config, override)
    return config


def _overridden(config: Settings, override: str) -> Settings:
    example = f"--set {next(iter(type(config).model_fields))}=…"
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            say(zh=f"--set {override!r} 里没有等号", en=f"--set {override!r} has no equals sign"),
            fix=example,
            code="override",
        )
    # Read alone, so that a fault speaks of this setting and not of the whole file.
    place = Path(f"--set {override}")
    one, faults = parse_yaml(f"{key.strip()}: {value.strip()}\n", type(config), place)
    if one is None:
        raise ConfigError(faults=tuple(replace(f, line=0, column=0) for f in faults))
    if len(one.model_fields_set) != 1:  # a comment, two lines, or nothing after the sign
        raise ConfigError(
            say(zh="这里没有给一项设置一个值", en="this does not give one setting a value"),
            path=place,
            fix=example,
            code="override",
        )
    (name,) = one.model_fields_set
    return config.model_copy(update={name: getattr(one, name)})
