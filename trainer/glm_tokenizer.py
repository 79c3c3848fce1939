"""The sentencepiece tokenizer of ChatGLM2-6B and ChatGLM3-6B, without their remote code.

The official folders bring a Python file for it that pins an old transformers. What it
does is small: sentencepiece ids, and above them a few control tokens that have no piece
of their own (THUDM/chatglm2-6b ``tokenization_chatglm.py``). Typed text goes through
sentencepiece alone, so "sop" in "philosophy", or a typed ``<|user|>``, stays text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from trainer.errors import BaseModelError
from trainer.language import say

TOKENIZER_FILE = "tokenizer.model"

_CONTROL = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")


class GlmTokenizer:
    """The official tokenizer as :class:`trainer.chat.Tokenizer`.

    Args:
        folder: where ``tokenizer.model`` lies.

    Raises:
        BaseModelError: it is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._pieces = _load(folder / TOKENIZER_FILE)
        count = self._pieces.get_piece_size()
        self._control = {name: count + i for i, name in enumerate((*_CONTROL, *_ROLES))}
        self._control["</s>"] = self._pieces.eos_id()
        names = sorted(self._control, key=len, reverse=True)
        self._markup = re.compile(f"({'|'.join(re.escape(name) for name in names)})")

    def __len__(self) -> int:
        return int(self._pieces.get_piece_size()) + len(_CONTROL) + len(_ROLES)

    @property
    def largest_id(self) -> int:
        return int(self._pieces.get_piece_size()) - 1

    def encode(self, text: str, *, markup: bool = False) -> list[int]:
        if not markup:
            ids: list[int] = self._pieces.encode(text)
            return ids
        parts = (part for part in self._markup.split(text) if part)
        return [
            id
            for part in parts
            for id in ([self._control[part]] if part in self._control else self.encode(part))
        ]

    def decode(self, ids: Sequence[int]) -> str:
        count = self._pieces.get_piece_size()
        text: str = self._pieces.decode([id for id in ids if id < count])
        return text

    @property
    def bos(self) -> str:
        return ""

    @property
    def eos(self) -> str:
        return "</s>"

    def render_template(self, messages: list[dict[str, str]], *, cue: bool) -> str:
        raise ValueError("ChatGLM has no chat template")  # its formats are chatglm2 and chatglm3


def _load(path: Path):  # type: ignore[no-untyped-def]  # sentencepiece has no types
    from sentencepiece import SentencePieceProcessor

    if not path.is_file():
        raise BaseModelError(
            say(zh="这个底座没有分词器", en="this base has no tokenizer"),
            path=path,
            fix=say(
                zh=f"把官方 chatglm2-6b 或 chatglm3-6b 文件夹里的 {TOKENIZER_FILE} 复制过来",
                en=f"copy {TOKENIZER_FILE} from the official chatglm2-6b or chatglm3-6b folder",
            ),
            code="tokenizer-missing",
        )
    try:
        return SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise BaseModelError(
            say(
                zh=f"分词器读不了（{path.stat().st_size} 字节）",
                en=f"the tokenizer cannot be read ({path.stat().st_size} bytes)",
            ),
            path=path,
            fix=say(
                zh="文件可能没下载全，或者只是 Git LFS 的指针；重新下载它",
                en="it may be half a download, or a Git LFS pointer; download it again",
            ),
            code="tokenizer-damaged",
        ) from error
