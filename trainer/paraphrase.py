"""The same question as people really type it: politely, carelessly, in other characters.

An author writes a question as it stands in a book. People begin with "请问" or "so, ",
leave out the mark at the end, mistype, type full-width marks or traditional characters.
None of that changes what is asked, so a question that is taught again and again is not
always taught in the same letters; a prefix that saw each wording as one string knows it
by heart and not by what it asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from trainer.talk import Language

_LEADS = {
    "zh": ("请问", "想问一下，", "那个，", "话说，", "诶，", "对了，", "我说，", "好奇问一句，"),
    "en": ("so, ", "hey, ", "by the way, ", "just wondering, ", "tell me, ", "please, ", "umm, "),
}
_TAILS = {
    "zh": ("呀", "呢", "啊", "嘛", "哈", "呀～"),
    "en": (" then", " please", " again", ", hm"),
}
_MARKS = {"zh": ("", "？", "?", "。", "？？", "～", "!"), "en": ("", "?", "??", "...", "!", "？")}
_ENDS = "?？!！.。~～…"
_CONTRACTED = (("what is", "what's"), ("who is", "who's"), ("where is", "where's"))
_WIDE = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})


def rephrased(question: str, language: Language, drawn: Random) -> str:
    """Return a question in one of the ways that people type it.

    Args:
        question: as the author wrote it.
        language: of the persona.
        drawn: chooses the way.
    """
    ways = _WAYS[language]
    return drawn.choice(ways)(question, language, drawn) or question


_Way = Callable[[str, Language, Random], str]


def _lead(question: str, language: Language, drawn: Random) -> str:
    rest = question if language == "zh" else question[:1].lower() + question[1:]
    return drawn.choice(_LEADS[language]) + rest


def _tail(question: str, language: Language, drawn: Random) -> str:
    body = question.rstrip(_ENDS)
    return body + drawn.choice(_TAILS[language]) + question[len(body) :]


def _mark(question: str, language: Language, drawn: Random) -> str:
    return question.rstrip(_ENDS) + drawn.choice(_MARKS[language])


def _lower(question: str, _language: Language, _drawn: Random) -> str:
    text = question.lower()
    for whole, short in _CONTRACTED:
        text = text.replace(whole, short)
    return text


def _left_out(question: str, _language: Language, drawn: Random) -> str:
    """Leave out a letter; of a very short question every letter counts."""
    body = question.rstrip(_ENDS)
    place = drawn.randrange(len(body)) if len(body) >= _LONG else len(body)
    return question[:place] + question[place + 1 :] if place < len(body) else question


def _swapped(question: str, _language: Language, drawn: Random) -> str:
    body = question.rstrip(_ENDS)
    if len(body) < _LONG:
        return question
    place = drawn.randrange(len(body) - 1)
    return question[:place] + question[place + 1] + question[place] + question[place + 2 :]


_LONG = 6
"""Letters from which on a mistyped question is still that question."""


def _wide(question: str, _language: Language, _drawn: Random) -> str:
    return question.translate(_WIDE)


def _traditional(question: str, _language: Language, _drawn: Random) -> str:
    text: str = _converter().convert(question)
    return text


@cache
def _converter() -> Any:
    from opencc import OpenCC

    return OpenCC("s2t")


_WAYS: dict[Language, tuple[_Way, ...]] = {
    "zh": (_lead, _lead, _tail, _mark, _left_out, _swapped, _wide, _traditional),
    "en": (_lead, _lead, _tail, _mark, _lower, _left_out, _swapped),
}
