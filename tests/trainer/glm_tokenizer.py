"""A stand-in for ChatGLM's tokenizer over the 507-piece model of ``tests/data/chatglm2``.

It follows the official rules: pieces of sentencepiece, and control tokens counted on
after them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

MODEL = Path(__file__).parent.parent / "data" / "chatglm2" / "tokenizer.model"
_CONTROL = ["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"]
_ROLES = ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]


class GlmTokenizer:
    bos = ""
    eos = "</s>"

    def __init__(self) -> None:
        self._pieces = sentencepiece.SentencePieceProcessor(str(MODEL))
        names = [*_CONTROL, *_ROLES]
        self.control = {name: len(self._pieces) + index for index, name in enumerate(names)}
        self.control["</s>"] = self._pieces.eos_id()

    def encode(self, text: str, *, markup: bool = False) -> list[int]:
        if not markup:
            return list(self._pieces.encode(text))
        names = "|".join(map(re.escape, self.control))
        ids: list[int] = []
        for part in re.split(f"({names})", text):
            ids += [self.control[part]] if part in self.control else self._pieces.encode(part)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        control = set(self.control.values())
        return str(self._pieces.decode([id for id in ids if id not in control]))

    def render_template(self, messages: list[dict[str, str]], *, cue: bool) -> str:
        raise AssertionError("ChatGLM's formats need no template")
