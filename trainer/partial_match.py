"""Where in a text that is still growing a match of a pattern may still be under way.

A reply is shown while it is written, and what was shown cannot be taken back: so of a
pattern that must not be shown one has to know from which letter on it may still come
true. Python's ``re`` has no partial matching (PCRE and the ``regex`` module do), but it
can be asked for: in the pattern's syntax tree each letter may also be the end of the
text, so that ``abc`` becomes ``(?:a|$)(?:b|$)(?:c|$)$``, which finds every beginning of
``abc`` that ends the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from re import _compiler, _parser  # type: ignore[attr-defined]  # what re itself is made of
from typing import Any

from trainer.wording import compiled, plain

PATIENCE = 40
"""Letters after which a match under way is no longer waited for, once its sentence has ended."""

SENTENCE_END = re.compile(r"[。！？!?…\n]|\.(?=\s)")
"""The last letter of a sentence, in NFKC or not."""


def _tree(*nodes: Any) -> Any:
    return _parser.SubPattern(_parser.State(), list(nodes))


_END = (_parser.AT, _parser.AT_END_STRING)
_LETTER = (_parser.SUBPATTERN, (None, re.DOTALL.value, 0, _tree((_parser.ANY, None))))
_REST = (_parser.MAX_REPEAT, (0, _parser.MAXREPEAT, _tree(_LETTER)))
_LINE_END = (_parser.MAX_REPEAT, (0, 1, _tree((_parser.LITERAL, ord("\n")))))
_REPEATS = (_parser.MAX_REPEAT, _parser.MIN_REPEAT, _parser.POSSESSIVE_REPEAT)
_REFERENCES = (_parser.GROUPREF, _parser.GROUPREF_EXISTS)
_LOOKS = (_parser.ASSERT, _parser.ASSERT_NOT)


class PartialPattern:
    r"""A pattern of a persona, with what tells where it may still come true.

    Attributes:
        whole: the pattern as :func:`trainer.wording.compiled` makes it, for text in NFKC.
        open: matches from a letter to the end of the text, if a match of ``whole`` from
            there may still come about, or come undone, when more text arrives. It errs
            only towards waiting. At the very end of a text it always matches.
        looks: whether ``whole`` looks around itself (``\b``, ``$``, look-arounds): only then
            can more text undo a match.
    """

    def __init__(self, pattern: str) -> None:
        self.whole = compiled(pattern)
        tree = _parser.parse(self.whole.pattern, self.whole.flags)
        self.looks = _holds(tree, (_parser.AT, *_LOOKS))
        opened = _parser.SubPattern(tree.state, [*_opened(tree), _END])
        self.open: re.Pattern[str] = _compiler.compile(opened, self.whole.flags)


class GrowingText:
    """A text that arrives in pieces, and how much of it may be shown.

    It holds back the longest end with which a match of a pattern may still be under way:
    nothing, mostly. Only where a sentence has ended since, and :data:`PATIENCE` letters
    went by, it waits no longer: a pattern like ``由.*开发`` must not hold back a whole
    reply. What is shown then is still no match.

    The last letter always waits for the next one, which may be an accent that changes it.
    Each call looks at what is new and at what a match may still begin with, no further back.
    """

    def __init__(self, patterns: Iterable[PartialPattern]) -> None:
        # A match may begin here at the earliest: in all that arrived, and in what was shown.
        self._arrived = [_Cursor(pattern) for pattern in patterns]
        self._shown = [_Cursor(cursor.pattern) for cursor in self._arrived if cursor.pattern.looks]
        self._plain = ""
        self._read = 0
        self._ends: list[tuple[int, int]] = []  # of letters not yet shown: (in plain, in the text)
        self._sentence = 0
        self._safe = 0

    def grow(self, text: str) -> int | None:
        """Take the text so far and return how many of its letters can be shown.

        Args:
            text: begins with the text of the call before.

        Returns:
            a number that never falls; ``text`` up to there matches no pattern. None once
            there is a match that no further text can undo.
        """
        former = len(self._plain)
        self._read_on(text)
        for end in SENTENCE_END.finditer(self._plain, max(0, former - 1)):
            self._sentence = end.end()
        for cursor in self._arrived:
            found = cursor.find(self._plain, len(self._plain))
            cursor.move(self._plain, len(self._plain))
            if found is not None and (not cursor.pattern.looks or found < cursor.start):
                return None
        given_up = min(self._sentence, len(self._plain) - PATIENCE)
        self._show(min(cursor.opens(self._plain, given_up) for cursor in self._arrived))
        return self._safe

    def _read_on(self, text: str) -> None:
        *complete, _growing = _letters(text[self._read :]) or [""]
        for letter in complete:
            self._read += len(letter)
            self._plain += plain(letter)
            self._ends.append((len(self._plain), self._read))

    def _show(self, until: int) -> None:
        """Show the whole letters before ``until``, a place in NFKC, if they may stand alone."""
        ready = [ends for ends in self._ends if ends[0] <= until]
        if not ready:
            return
        plain_end, text_end = ready[-1]
        # Cut off, a text may match where the whole does not: AI(?!女孩).
        if any(cursor.find(self._plain, plain_end) is not None for cursor in self._shown):
            return
        for cursor in self._shown:
            cursor.move(self._plain, plain_end)
        del self._ends[: len(ready)]
        self._safe = text_end


class _Cursor:
    """How far a pattern has been looked for in a text that ends at ``end`` for now."""

    def __init__(self, pattern: PartialPattern) -> None:
        self.pattern = pattern
        self.start = 0

    def find(self, text: str, end: int) -> int | None:
        """Return where the first match begins."""
        match = self.pattern.whole.search(text, self.start, end)
        return match.start() if match else None

    def move(self, text: str, end: int) -> None:
        """Leave behind each letter from which nothing can change any more."""
        self.start = self._open_from(self.start, text, end)

    def opens(self, text: str, given_up: int) -> int:
        """Return where a match may still be under way, at ``given_up`` or behind it."""
        waits = self.start >= given_up
        return self.start if waits else self._open_from(given_up, text, len(text))

    def _open_from(self, start: int, text: str, end: int) -> int:
        match = self.pattern.open.search(text, start, end)
        return match.start() if match else end


def _letters(text: str) -> list[str]:
    """Split ``text`` where its NFKC is that of the pieces: a letter keeps its accents."""
    letters: list[str] = []
    for point in text:
        if letters and _joins(letters[-1], point):
            letters[-1] += point
        else:
            letters.append(point)
    return letters


def _joins(letter: str, point: str) -> bool:
    """Tell whether ``point`` changes ``letter``, or may once more accents follow."""
    if unicodedata.combining(unicodedata.normalize("NFKD", point)[0]):
        return True
    return plain(letter + point) != plain(letter) + plain(point)


def _opened(nodes: Iterable[Any]) -> Any:
    return _tree(*(_open(*node) for node in nodes))


def _open(op: Any, value: Any) -> Any:
    """Return a node that also matches where the text ends within or before ``(op, value)``."""
    if op is _parser.BRANCH:
        return op, (None, [_opened(branch) for branch in value[1]])
    if op is _parser.SUBPATTERN:
        _, add, remove, inner = value
        return op, (None, add, remove, _opened(inner))
    if op is _parser.ATOMIC_GROUP:
        return _parser.SUBPATTERN, (None, 0, 0, _opened(value))
    if op in _REPEATS:
        least, most, inner = value
        return _parser.MAX_REPEAT, (least, most, _opened(inner))
    if op in _REFERENCES:  # to what, is not known yet
        return _REST
    if op in _LOOKS:
        return _open_look(op, value)
    if (op, value) == (_parser.AT, _parser.AT_END):  # also before a line end that ends the text
        return _either(_tree((op, value), _LINE_END), _tree(_END))
    return _either(_tree((op, value)), _tree(_END))


def _open_look(op: Any, value: Any) -> Any:
    """Open a look-around: as long as what it looks at may still arrive, anything may follow."""
    direction, inner = value
    if direction > 0:
        arriving = (_parser.ASSERT, (direction, _tree(*_opened(inner), _END)))
        return _either(_tree(arriving, _REST), _tree((op, value)))
    if _holds(inner, _LOOKS):  # looks back, and from there ahead
        return _REST
    return _either(_tree((op, value)), _tree(_END))


def _either(*branches: Any) -> Any:
    return _parser.BRANCH, (None, list(branches))


def _holds(tree: Any, ops: Sequence[Any]) -> bool:
    """Tell whether a node of one of ``ops`` is anywhere in a syntax tree."""
    if isinstance(tree, (list, tuple, _parser.SubPattern)):
        return any(_holds(part, ops) for part in tree)
    return any(tree is op for op in ops)  # an op equals a number, which a tree holds too
