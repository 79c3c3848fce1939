"""Cutting a long text into messages that a chat takes, where a person would cut it.

Every platform bounds a message, each in its own unit: Telegram in UTF-16 code units, QQ
in characters. A text is cut after a paragraph if one ends late enough, else after a
sentence, else after a clause, and in the middle only where there is none of them.
Nothing is left out: the pieces in a row are the text again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from trainer.partial_match import SENTENCE_END

Measure = Callable[[str], int]
"""The size of a text in a platform's unit; at least 1 for each character."""

_PARAGRAPH = re.compile(r"\n+")
_SENTENCE = re.compile(rf"(?:{SENTENCE_END.pattern})+[\s”’」』）)\"'~～]*")
_CLAUSE = re.compile(r"[，、；：,;:]\s*|\s+")
_ZERO_WIDTH_JOINER = "\u200d"


def utf16_length(text: str) -> int:
    """Return how many UTF-16 code units ``text`` takes: Telegram's unit of lengths and offsets."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def well_formed(text: str) -> str:
    """Return ``text`` without halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def split_text(text: str, limit: int, measure: Measure = len) -> list[str]:
    """Cut ``text`` into pieces of at most ``limit``, at the ends of sentences where it can.

    Args:
        text: any text; an empty one has no pieces.
        limit: most of one piece, in the unit of ``measure``; at least 2, the size of one
            character beyond the basic plane.
        measure: the platform's unit.

    Returns:
        The pieces; joined they are ``text``.
    """
    return list(_pieces(text, limit, measure))


def _pieces(text: str, limit: int, measure: Measure) -> Iterator[str]:
    while measure(text) > limit:
        cut = _cut(text, _fitting(text, limit, measure))
        yield text[:cut]
        text = text[cut:]
    if text:
        yield text


def _fitting(text: str, limit: int, measure: Measure) -> int:
    """Return how many characters fit; a character is never larger than its two code units."""
    size = 0
    for index, letter in enumerate(text):
        size += measure(letter)
        if size > limit:
            return max(index, 1)
    return len(text)


def _cut(text: str, fitting: int) -> int:
    """Return where to cut: not before the middle, or a heading would be a message alone."""
    for end in (_PARAGRAPH, _SENTENCE, _CLAUSE):
        cuts = [found.end() for found in end.finditer(text, fitting // 2, fitting)]
        if cuts:
            return cuts[-1]
    return next((cut for cut in range(fitting, fitting // 2, -1) if _is_gap(text, cut)), fitting)


def _is_gap(text: str, cut: int) -> bool:
    """Tell whether what is drawn as one sign (an accent, a family of emoji) stays whole."""
    before, after = text[cut - 1], text[cut]
    marks = unicodedata.category(after) in ("Mn", "Mc", "Me", "Sk")  # Sk: the shades of skin
    return not marks and _ZERO_WIDTH_JOINER not in (before, after)
