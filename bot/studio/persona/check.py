"""``renshe check`` of a text that is still being typed.

Every few keys the whole text is read again, so what was read of the last texts is kept:
the form and the check of one text share one reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from bot.studio.persona.desk import bounded
from trainer.check import Report, advice
from trainer.contradictions import contradictions
from trainer.errors import Fault
from trainer.language import Language, spoken
from trainer.persona import Persona
from trainer.strict_yaml import Document, fit, read_document
from trainer.strict_yaml.tree import Loc

READINGS = 8
"""Texts whose reading is kept: two pages, and each text before and after an edit."""


@dataclass(frozen=True)
class Checked(Report):
    """What a check found in a text: the faults, errors and advice, in the order of the lines.

    Attributes:
        document: its tree; None when it is no YAML mapping.
        readable: the form can show and edit it: the reader refused nothing.
    """

    document: Document | None
    readable: bool

    def inside(self, *loc: int | str) -> list[Fault]:
        """Return the faults that stand in the member ``loc`` of a list."""
        if self.document is None:
            return []
        spans = _spans(self.document, loc[:-1])
        begin, end = spans[int(loc[-1])]
        return [fault for fault in self.faults if begin <= (fault.line, fault.column) < end]


def check_text(text: str) -> Checked:
    """Check the text of a persona file.

    Raises:
        RensheError: it is too long to be checked while one types.
    """
    return _checked(bounded(text), spoken())


@lru_cache(maxsize=READINGS)
def tree(text: str, language: Language) -> tuple[Document | None, tuple[Fault, ...]]:
    """Return the tree of a text and what the reader refused, in words of ``language``."""
    document, faults = read_document(text)
    return document, tuple(faults)


@lru_cache(maxsize=READINGS)
def _checked(text: str, language: Language) -> Checked:
    document, refused = tree(text, language)
    if document is None:
        return Checked(None, in_order(refused), document=None, readable=False)
    persona, misfits = fit(document, Persona)
    errors = [*refused, *misfits, *contradictions(document)]
    faults = in_order([*errors, *advice(document)])
    found = None if errors else persona
    return Checked(found, faults, document=document, readable=not refused)


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return faults in the order of the text."""
    return tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))


def _spans(document: Document, loc: Loc) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return where each member of the list at ``loc`` begins and the next one does."""
    places = [document.value_place(*member) for member in document.members(*loc)]
    begins = [(place.line, place.column) for place in places]
    return list(zip(begins, [*begins[1:], _after(document, loc)], strict=True))


def _after(document: Document, loc: Loc) -> tuple[int, int]:
    """Return where the next top-level entry begins, behind the one that ``loc`` is in."""
    entries = document.root.entries or {}
    own = entries[str(loc[0])][0].line
    lines = [place.line for place, _ in entries.values() if place.line > own]
    return (min(lines, default=1 << 30), 0)
