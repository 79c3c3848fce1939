"""``renshe check`` of a text that is still being typed.

Every few keys the whole text is read again, so what was read of the last texts is kept:
the form and the check of one text share one reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from bot.studio.persona.desk import bounded
from trainer.check import advice
from trainer.contradictions import contradictions
from trainer.errors import Fault
from trainer.language import Language, spoken
from trainer.persona import Persona
from trainer.strict_yaml import Document, fit, read_document
from trainer.strict_yaml.tree import Loc

READINGS = 8
"""Texts whose reading is kept: two pages, and each text before and after an edit."""


@dataclass(frozen=True)
class Checked:
    """What a check found in a text.

    Attributes:
        document: its tree; None when it is no YAML mapping.
        readable: the form can show and edit it: the reader refused nothing.
        persona: None if there is any error.
        faults: errors and advice, in the order of the lines.
    """

    document: Document | None
    readable: bool
    persona: Persona | None
    faults: tuple[Fault, ...]

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that refuse the text."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """The faults that do not."""
        return tuple(fault for fault in self.faults if fault.severity == "warning")

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
        return Checked(None, False, None, in_order(refused))
    persona, misfits = fit(document, Persona)
    errors = [*refused, *misfits, *contradictions(document)]
    faults = in_order([*errors, *advice(document)])
    return Checked(document, not refused, None if errors else persona, faults)


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
