"""Which patterns of a persona may take forever, told before any is run.

Python's ``re`` tries every way to match, and evaluation and the bot run a persona's
patterns on each reply: ``(a+)+`` would hang a bot on a reply of forty letters. The rule
is rough but one-sided: a repeated group of fixed length can match in one way only, so
without repeated groups that vary the ways can be counted, and the steps with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial

REPLY = 300
"""Characters of the reply that steps are counted for."""

MAX_STEPS = 4e8
"""Steps a pattern may need on such a reply: three repetitions, which took 6 s at the very worst."""

_TOKEN = re.compile(
    r"(?P<letter>\\.|\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<look>\(\?<?[=!])|(?P<open>\((?:\?[^)])?)"
    r"|(?P<optional>\?[?+]?)|(?P<exact>\{\d+\}[?+]?)"
    r"|(?P<repeat>(?:[*+]|\{\d+,\d*\}|\{,\d+\})[?+]?)"
    r"|(?P<other>.)",
    re.DOTALL,
)


@dataclass
class _Group:
    """An open group: its alternatives, whether its inside varies, and the counts before it."""

    looks: bool = False
    before: tuple[int, int] = (0, 1)
    alternatives: int = 1
    varies: bool = False


def slow_spot(pattern: str) -> int | None:
    """Return the 0-based offset at which ``pattern`` becomes too slow, or None.

    Refused are a repeated group whose inside varies in length or branches, and more
    repetitions, options and branches in one alternative than MAX_STEPS allows.
    """
    groups, closed = [_Group()], _Group()
    repeats, ways = 0, 1
    for offset, kind in _tokens(pattern):
        if kind in ("repeat", "exact") and closed.varies:
            return offset
        closed = _Group()
        if kind in ("repeat", "optional", "|"):
            groups[-1].varies = True
        if kind == "repeat":
            repeats += 1
        elif kind == "optional":
            ways *= 2
        elif kind == "|":
            groups[-1].alternatives += 1
            repeats, ways = (repeats, ways) if groups[1:] else (0, 1)
        elif kind in ("open", "look"):
            groups.append(_Group(kind == "look", (repeats, ways)))
        elif kind == ")" and groups[1:]:
            closed = groups.pop()
            groups[-1].varies |= closed.varies
            # What a look-around found is never tried again in another way.
            repeats, ways = closed.before if closed.looks else (repeats, ways * closed.alternatives)
        if _steps(repeats, ways) > MAX_STEPS:
            return offset
    return None


def _steps(repeats: int, ways: int) -> float:
    """Return about how many steps a search takes: one place for its start and for each repeat."""
    places = float(REPLY) ** (repeats + 1) / factorial(repeats + 1)
    return ways * places


def _tokens(pattern: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, kind) for each token: its group in _TOKEN, or the letter itself."""
    for match in _TOKEN.finditer(pattern):
        kind = match.lastgroup or ""
        yield match.start(), match.group() if kind == "other" else kind
