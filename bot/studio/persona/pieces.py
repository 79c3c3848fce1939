"""Which whole lines of a persona file hold a value: the least that an edit has to touch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.strict_yaml import Document, Loc


@dataclass(frozen=True)
class Piece:
    """Whole lines of the file: ``start`` (counted from 0) up to ``end``, which is not in it.

    Attributes:
        key: the top-level entry that it is of; empty when it is the whole file.
        member: index in the list under ``key``, when it is one member of that.
        indent: columns before the member's dash.
        lead: columns before what the dash introduces.
        adds: there are no lines yet, the member is new.
    """

    key: str
    start: int
    end: int
    member: int | None = None
    indent: int = 0
    lead: int = 0
    adds: bool = False


def entry_piece(lines: Sequence[str], document: Document, key: str) -> Piece:
    """Return the lines of a top-level entry; of all, when the file is not written in blocks."""
    if not in_blocks(document):
        return Piece("", 0, len(lines))
    starts = [place.line - 1 for place, _ in (document.root.entries or {}).values()]
    start = document.key_place(key).line - 1
    following = [line for line in starts if line > start]
    return Piece(key, start, _content_end(lines, start, min(following, default=len(lines)), 0))


def in_blocks(document: Document) -> bool:
    """Tell whether each top-level entry begins a line of its own, at its very left."""
    places = [place for place, _ in (document.root.entries or {}).values()]
    return all(place.column == 1 for place in places)


def member_piece(lines: Sequence[str], document: Document, loc: Loc) -> Piece | None:
    """Return the lines of one member of a list of block style; None where there are none."""
    key, *rest = loc
    if not rest or not isinstance(rest[0], int) or not in_blocks(document):
        return None
    places = [document.value_place(*member) for member in document.members(key)]
    starts = [place.line - 1 for place in places]
    leads = {place.column - 1 for place in places}
    dashes = [re.match(r"( *)- +(?=[^\s#])", lines[line]) for line in starts]
    if len(leads) != 1 or any(dash is None or dash.end() not in leads for dash in dashes):
        return None
    lead = leads.pop()
    indent = _indent(lines[starts[0]])
    end = entry_piece(lines, document, str(key)).end
    index = min(rest[0], len(starts))
    if index == len(starts):
        end = _content_end(lines, starts[-1], end, indent)
        return Piece(str(key), end, end, index, indent, lead, adds=True)
    end = _content_end(lines, starts[index], [*starts, end][index + 1], indent)
    return Piece(str(key), starts[index], end, index, indent, lead)


def _content_end(lines: Sequence[str], start: int, end: int, indent: int) -> int:
    """Return the end without trailing blank lines, and comments that are of what follows."""
    while end > start + 1:
        line = lines[end - 1]
        comment = line.lstrip().startswith("#") and _indent(line) <= indent
        if line.strip() and not comment and not re.match(r"(---|\.\.\.)\s*$", line):
            break
        end -= 1
    return end


def without_piece(lines: Sequence[str], piece: Piece, document: Document) -> str:
    """Return the text without a piece and the blank lines that set it apart."""
    kept, rest = list(lines[: piece.start]), list(lines[piece.end :])
    while rest and not rest[0].strip() and (not kept or not kept[-1].strip()):
        rest.pop(0)
    if piece.member is not None and len(document.members(piece.key)) == 1:
        at = document.key_place(piece.key).line - 1
        kept[at] = kept[at].replace(":", ": []", 1)
    return "".join([*kept, *rest])


def outdented(lines: Sequence[str], piece: Piece) -> str:
    """Return a member as a text of its own, without its dash."""
    if piece.member is None:
        return "".join(lines)
    first = " " * piece.lead + lines[0][piece.lead :]
    return "".join(line[min(piece.lead, _indent(line)) :] for line in (first, *lines[1:]))


def indented(text: str, piece: Piece) -> str:
    """Put a member's text back behind its dash."""
    if piece.member is None:
        return text
    lines = [f"{' ' * piece.lead}{line}" if line.strip() else line for line in whole_lines(text)]
    return f"{' ' * piece.indent}-".ljust(piece.lead) + "".join(lines)[piece.lead :]


def whole_lines(text: str) -> list[str]:
    """Return the lines of a text, each with its end."""
    # Not splitlines: it also cuts at marks that end no line for an editor.
    parts = text.split("\n")
    lines = [f"{part}\n" for part in parts[:-1]]
    return [*lines, f"{parts[-1]}\n"] if parts[-1] else lines


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
