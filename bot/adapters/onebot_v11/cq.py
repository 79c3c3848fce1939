"""Message segments, and reading a message that came as a CQ string.

Implementations deliver a message as an array of segments or as one string with codes such
as ``[CQ:at,qq=7]`` in it. We only ever *read* strings: what is sent as a string is parsed for
codes on the other side, so that a model's words could mention everybody or send a file.

Source: the OneBot 11 standard, "message/string" and "message/array".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_CODE = re.compile(r"\[CQ:([^,\]\[]+)((?:,[^\]\[]*)?)\]")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a message.

    Attributes:
        type: ``text``, ``at``, ``reply``, ``image`` …
        data: its parameters, all of them text.
    """

    type: str
    data: dict[str, str] = field(default_factory=dict)


def parse_cq(message: str) -> list[Segment]:
    """Return the segments of a CQ string; what only looks like a code is text."""
    return list(_segments(message))


def _segments(message: str) -> Iterator[Segment]:
    end = 0
    for code in _CODE.finditer(message):
        yield from _text(message[end : code.start()])
        yield Segment(code[1], dict(_parameters(code[2])))
        end = code.end()
    yield from _text(message[end:])


def _text(escaped: str) -> Iterator[Segment]:
    if escaped:
        yield Segment("text", {"text": _unescape(escaped)})


def _parameters(written: str) -> Iterator[tuple[str, str]]:
    """Yield names and values; a value may hold further equals signs, a comma it may not."""
    for parameter in written.split(",")[1:]:
        name, _, value = parameter.partition("=")
        yield name, _unescape(value)


def _unescape(text: str) -> str:
    """Undo the escapes, ``&amp;`` last: ``&amp;#91;`` is the text ``&#91;``, not a bracket."""
    for escape, letter in (("&#91;", "["), ("&#93;", "]"), ("&#44;", ","), ("&amp;", "&")):
        text = text.replace(escape, letter)
    return text
