"""A YAML file as a tree that remembers where everything stands.

A fault is only of use with its place, and plain Python data has none. The tree also
lets the content of a file be judged where it is sound, whatever is wrong elsewhere.

Plain scalars mean what YAML 1.2's core schema says: ``no`` and ``3:30`` are text, ``12``
and ``3e-2`` numbers; and each keeps the text it was written as.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import Fault, Severity

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]
Loc = tuple[int | str, ...]

MAX_DIGITS = 400
"""The longest number read: nobody means a longer one, and Python refuses those above 4,300."""


@dataclass(frozen=True)
class Place:
    """A place in a text: 1-based line and column (in characters)."""

    line: int
    column: int


@dataclass
class Node:
    """One value of the file.

    Attributes:
        place: where it begins.
        text: what a scalar says; empty for a list or mapping.
        plain: it is a scalar without quotes, so its text may stand for a number.
        lead: characters between ``place`` and the text as it is written (1 for a quote);
            None when the two do not run side by side (escapes, several lines).
        broken: something in it was refused, so faults about its content say nothing new.
        items: the members, when it is a list.
        entries: each key's place and value, when it is a mapping.
    """

    place: Place
    text: str = ""
    plain: bool = False
    lead: int | None = None
    broken: bool = False
    items: list[Node] | None = None
    entries: dict[str, tuple[Place, Node]] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all was written, as after ``key:``."""
        return self.plain and not self.text

    def child(self, step: int | str) -> Node | None:
        """Return the member called ``step``, or None."""
        if self.items is not None:
            return self.items[step] if isinstance(step, int) and step < len(self.items) else None
        entry = (self.entries or {}).get(str(step))
        return entry[1] if entry else None

    def data(self) -> Plain:
        """Return the value as plain Python data."""
        if self.items is not None:
            return [item.data() for item in self.items]
        if self.entries is not None:
            return {key: node.data() for key, (_, node) in self.entries.items()}
        return typed(self.text) if self.plain else self.text

    def inside(self, offset: int) -> Place:
        """Return the place ``offset`` characters into a scalar; its beginning where unknown."""
        if self.lead is None:
            return self.place
        return Place(self.place.line, self.place.column + self.lead + offset)


@dataclass(frozen=True)
class Document:
    """The tree of one file; a location is the path of keys and list indices to a node."""

    path: Path | None
    root: Node

    def reach(self, loc: Loc) -> tuple[Loc, Node]:
        """Return how far along ``loc`` the tree goes, and the node there."""
        node = self.root
        for depth, step in enumerate(loc):
            child = node.child(step)
            if child is None:
                return loc[:depth], node
            node = child
        return loc, node

    def node(self, *loc: int | str) -> Node | None:
        """Return the node at ``loc``, or None."""
        reached, node = self.reach(loc)
        return node if reached == loc else None

    def value_place(self, *loc: int | str) -> Place:
        """Return where the value at ``loc`` begins, or the nearest value around it."""
        return self.reach(loc)[1].place

    def key_place(self, *loc: int | str) -> Place:
        """Return where the key that ``loc`` ends with begins, or the nearest value around it."""
        reached, parent = self.reach(loc[:-1])
        entry = (parent.entries or {}).get(str(loc[-1])) if loc and reached == loc[:-1] else None
        return entry[0] if entry else self.value_place(*loc)

    def members(self, *loc: int | str) -> list[Loc]:
        """Return the locations of the members of the list at ``loc``; none where there is none."""
        node = self.node(*loc)
        return [(*loc, index) for index in range(len(node.items or ()))] if node else []

    def texts(self, *loc: int | str) -> list[tuple[Loc, str]]:
        """Return (location, text) of the scalar at ``loc``, or of the scalars in the list there.

        What is missing, empty or of another kind is left out.
        """
        node = self.node(*loc)
        places = self.members(*loc) if node and node.items is not None else [loc]
        nodes = [(place, self.node(*place)) for place in places]
        return [(place, text) for place, node in nodes if node and (text := node.text.strip())]

    def fault(
        self, place: Place, problem: str, fix: str, code: str, severity: Severity = "error"
    ) -> Fault:
        """Return a fault at ``place`` in this file."""
        return Fault(problem, self.path, place.line, place.column, fix, code, severity)


def typed(text: str) -> Scalar:
    """Return what a plain scalar means in YAML 1.2's core schema.

    What is longer than MAX_DIGITS stays text.
    """
    if len(text) > MAX_DIGITS:
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if re.fullmatch(r"[-+]?[0-9]+", text, re.ASCII):
        return int(text)
    if re.fullmatch(r"0o[0-7]+|0x[0-9a-fA-F]+", text):
        return int(text, 0)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        return float(text)
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return float(text.replace(".", ""))
    return text
