"""Changes a value of a persona file and leaves the rest of it as its author wrote it.

The file is the author's own, with comments, an order and a layout of theirs. So an edit
cuts out the smallest piece of whole lines that holds the value (a fact, a dialogue, or
a top-level entry), sends that alone through ruamel.yaml's round trip, which keeps its
comments and quotes, and puts it back. All other lines stay byte for byte, and a long
file costs no more than a short one.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import (
    DoubleQuotedScalarString,
    FoldedScalarString,
    LiteralScalarString,
    SingleQuotedScalarString,
)

from bot.studio.persona.check import tree
from bot.studio.persona.pieces import (
    Piece,
    entry_piece,
    in_blocks,
    indented,
    member_piece,
    outdented,
    whole_lines,
    without_piece,
)
from trainer.errors import SourceError
from trainer.language import say, spoken
from trainer.persona import Persona
from trainer.strict_yaml import Document, Loc

Value = str | list[Any] | dict[str, Any] | None

_KEYS = tuple(Persona.model_fields)
_WIDTH = 1 << 20  # a line is as long as its author made it


@dataclass(frozen=True)
class Change:
    """A new value for one place of the file.

    Attributes:
        loc: keys and list indices; an index one past the end adds a member.
        value: text, list or mapping; None removes the entry or member.
    """

    loc: Loc
    value: Value


def edited(text: str, changes: Sequence[Change]) -> str:
    """Return ``text`` with the changes made, one after another.

    Raises:
        SourceError: the text is no sound YAML, or a change cannot be made in place.
    """
    for change in changes:
        text = _edited(text, change)
        _verify(text, change)
    return text


def _verify(text: str, change: Change) -> None:
    """Refuse an edit that does not read as it was meant: the round trip is not trusted blindly."""
    document, loc, value = sound(text), change.loc, change.value
    if value is None:
        return
    if len(loc) > 1 and isinstance(loc[1], int):  # a new member is the last one
        loc = (loc[0], min(loc[1], len(document.members(loc[0])) - 1), *loc[2:])
    node = document.node(*loc)
    if node is None:
        right = False
    elif isinstance(value, str):
        right = node.text.rstrip("\n") == value.rstrip("\n")
    else:
        right = _texts(node.data()) == _texts(value)
    if not right:
        raise _not_in_place(say(zh="改完读出来不一样", en="it would not read the same"))


def _texts(value: Any) -> Any:
    """Return a value with what YAML types (``12``, ``true``) as text."""
    if isinstance(value, list):
        return [_texts(item) for item in value]
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    return value.rstrip("\n") if isinstance(value, str) else value


def sound(text: str) -> Document:
    """Return the tree of a text that can be edited by value.

    Raises:
        SourceError: with everything the reader refused.
    """
    document, faults = tree(text, spoken())
    if document is None or faults:
        raise SourceError(say(zh="YAML 有错", en="the YAML is wrong"), faults=faults)
    return document


def _edited(text: str, change: Change) -> str:
    document = sound(text)
    lines = whole_lines(text)
    key = str(change.loc[0])
    if document.node(key) is None:
        return text if change.value is None else _with_entry(lines, document, change)
    piece = member_piece(lines, document, change.loc) or entry_piece(lines, document, key)
    if piece.adds:
        return _joined(lines, piece, _written(piece, change.value))
    whole = len(change.loc) == 1 + (piece.member is not None)
    commented = piece.member is None and "#" in "".join(lines[piece.start : piece.end])
    if change.value is None and whole and piece.key and not commented:
        return without_piece(lines, piece, document)
    return _joined(lines, piece, _round_trip(piece, lines, change))


def _joined(lines: Sequence[str], piece: Piece, made: str) -> str:
    return "".join([*lines[: piece.start], made, *lines[piece.end :]])


# --- the round trip -------------------------------------------------------------------------


def _round_trip(piece: Piece, lines: Sequence[str], change: Change) -> str:
    """Return the piece's lines with the change made in them."""
    before = outdented(lines[piece.start : piece.end], piece)
    yaml = _yaml(before)
    try:
        tree = yaml.load(before)
    except YAMLError as error:
        raise _not_in_place(str(error)) from None
    loc = change.loc if piece.member is None else change.loc[2:]
    if loc:
        _put(tree, loc, change.value)
    else:
        tree = _like(tree, change.value)
    return indented(_dumped(yaml, tree), piece)


def _put(tree: Any, loc: Loc, value: Value) -> None:
    way: Loc = loc[:-1]
    last: Any = loc[-1]
    for step in way:
        if isinstance(tree, dict) and step not in tree:
            tree[step] = CommentedMap()
        if not isinstance(tree[step], (dict, list)):
            tree[step] = CommentedMap()
        tree = tree[step]
    if isinstance(tree, list) and (last >= len(tree) or value is None):
        _put_member(tree, int(last), value)
    elif value is None:
        _remove(tree, last)
    else:
        former = tree[last] if isinstance(tree, list) or last in tree else None
        tree[last] = _like(former, value)


def _put_member(members: list[Any], index: int, value: Value) -> None:
    if value is None:
        del members[index]
    else:
        model = members[-1] if members and isinstance(members[-1], str) else None
        members.append(_like(model, value))


def _remove(tree: CommentedMap, key: Any) -> None:
    """Remove an entry; one that a comment hangs on stays, with nothing in it."""
    if key in tree.ca.items:
        tree[key] = None
    elif key in tree:
        del tree[key]


def _like(former: Any, value: Value) -> Any:
    """Return ``value`` in the style of what stood there, comments of unchanged members kept."""
    if isinstance(value, str):
        return _text_like(former, value)
    if isinstance(value, list) and isinstance(former, CommentedSeq):
        _merge(former, value)
        return former
    if isinstance(value, dict) and isinstance(former, CommentedMap):
        made = CommentedMap((key, _like(former.get(key), item)) for key, item in value.items())
        if former.fa.flow_style():
            made.fa.set_flow_style()
        return made
    if isinstance(value, list):
        members = CommentedSeq([_like(None, item) for item in value])
        if not value:
            members.fa.set_flow_style()
        return members
    if isinstance(value, dict):
        return CommentedMap((key, _like(None, item)) for key, item in value.items())
    return value


def _merge(former: CommentedSeq, wanted: list[Any]) -> None:
    """Make ``former`` hold ``wanted`` by the fewest changes."""
    if not former and wanted:
        former.fa.set_block_style()
    had = [repr(item) for item in former]
    steps = SequenceMatcher(None, had, [repr(item) for item in wanted], autojunk=False)
    for kind, a, b, c, d in reversed(steps.get_opcodes()):
        if kind == "equal":
            continue
        shared = min(b - a, d - c)
        for offset in range(shared):
            former[a + offset] = _like(former[a + offset], wanted[c + offset])
        for _ in range(b - a - shared):
            del former[a + shared]
        for offset in range(d - c - shared):
            model = former[a - 1] if a and isinstance(former[a - 1], str) else None
            former.insert(a + shared + offset, _like(model, wanted[c + shared + offset]))
    if not former:
        former.fa.set_flow_style()


def _text_like(former: Any, text: str) -> Any:
    quoted = (SingleQuotedScalarString, DoubleQuotedScalarString)
    if isinstance(former, quoted) and "\n" not in text:
        return type(former)(text)
    if isinstance(former, FoldedScalarString) and "\n" not in text:
        return FoldedScalarString(text + "\n")
    if "\n" in text and _fits_a_block(text):
        return LiteralScalarString(text)
    return text


def _fits_a_block(text: str) -> bool:
    """Tell whether a literal block shows a text as it is: no odd spaces, no tabs."""
    return not re.search(r"^\s|\s$|[ \t]\n|\n[ \t]|\t", text)


# --- writing --------------------------------------------------------------------------------


def _with_entry(lines: list[str], document: Document, change: Change) -> str:
    """Add a top-level entry where the schema has it."""
    key, *rest = change.loc
    value = change.value
    for step in reversed(rest):
        value = [value] if isinstance(step, int) else {str(step): value}
    if not in_blocks(document):
        return _round_trip(Piece("", 0, len(lines)), lines, Change((key,), value))
    before = [known for known in _KEYS[: _KEYS.index(str(key))] if document.node(known)]
    end = max((entry_piece(lines, document, known).end for known in before), default=0)
    made = _dumped(_yaml(""), CommentedMap({key: _like(None, value)}))
    gap = "\n" if isinstance(value, (list, dict)) and value and end else ""
    return "".join([*lines[:end], gap, made, *lines[end:]])


def _written(piece: Piece, value: Value) -> str:
    """Return the lines of a new member."""
    yaml = _yaml("- " if isinstance(value, list) else "")
    made = indented(_dumped(yaml, _like(None, value)), piece)
    return f"\n{made}" if piece.key == "facts" else made


def _yaml(sample: str) -> YAML:
    """Return a round trip that indents lists as ``sample`` does; one at the top never."""
    yaml = YAML(typ="rt")
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.allow_unicode = True
    offset = 0 if sample.startswith("- ") else _offset(sample)
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml


def _offset(sample: str) -> int:
    """Return how far the dashes of a list stand right of the key they are under."""
    found = re.search(r"^( *)[\w-]+:[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*( *)- ", sample, re.M)
    return max(0, len(found.group(2)) - len(found.group(1))) if found else 2


def _dumped(yaml: YAML, tree: Any) -> str:
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _not_in_place(detail: str) -> SourceError:
    return SourceError(
        say(zh=f"表单改不了这一处：{detail}", en=f"the form cannot change this place: {detail}"),
        fix=say(zh="直接在 YAML 里改", en="change it in the YAML itself"),
        code="not-in-place",
    )
