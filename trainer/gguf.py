"""From a GGUF file to a folder in the Hugging Face layout, with transformers' own reader."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    modeling_gguf_pytorch_utils,
)
from transformers.utils import logging

from trainer.bases import Report
from trainer.language import say


def convert(file: Path, folder: Path, report: Report) -> None:
    """Write the file's model and tokenizer into ``folder``, float32 without loss.

    Args:
        file: the GGUF file.
        folder: made here.
        report: told what is being done and how much of it is done, from 0 to 1.

    Raises:
        OSError, ValueError, KeyError, NotImplementedError: it is no file or no model that
            transformers knows.
    """
    hush: Any = logging.disable_progress_bar
    hush()
    stage = say(zh="转换底座（只此一次）", en="converting the base (only once)")

    def unpacking(done: float) -> None:
        report(stage, 0.45 + 0.5 * done)

    report(stage, 0.02)
    with _read_once(), _tensors_told(unpacking):
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    report(stage, 1.0)


class _PlainReader(gguf.GGUFReader):
    """Reads the file as a plain array: each of a memmap's slices costs three times as much."""

    @property
    def data(self) -> Any:
        return self._data

    @data.setter
    def data(self, mapped: Any) -> None:
        self._data = mapped.view(numpy.ndarray)


@contextmanager
def _read_once() -> Iterator[None]:
    """Parse the file's header once: transformers does it for tokenizer, settings and weights.

    It lists every word of the vocabulary, so that each time takes as long as the weights.
    """
    with _replaced(gguf, "GGUFReader", functools.cache(_PlainReader)):
        yield


@contextmanager
def _tensors_told(told: Callable[[float], None]) -> Iterator[None]:
    """Tell how many tensors transformers has unpacked, in place of a bar of its own.

    It draws one with tqdm, past its own setting for such bars.
    """

    def counted(tensors: Sequence[Any], **_: Any) -> Iterator[Any]:
        for index, tensor in enumerate(tensors):
            told(index / len(tensors))
            yield tensor

    with _replaced(modeling_gguf_pytorch_utils, "tqdm", counted):
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    former = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, former)
