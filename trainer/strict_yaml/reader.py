"""YAML text into a tree, refusing what a file of settings or a persona never needs.

The tree is made straight from ruamel.yaml's events. Aliases (how a small file grows to
gigabytes), anchors and tags are refused on sight, before anything is expanded or
built; nesting is bounded; a key given twice is a fault and not a silent loss. Reading
goes on after each of these, so that all come at once. Only a text that is no YAML stops it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from trainer.errors import Fault
from trainer.language import say
from trainer.strict_yaml.syntax import explain_syntax, not_a_mapping
from trainer.strict_yaml.tree import Document, Node, Place

MAX_DEPTH = 16
"""Lists and mappings inside one another; a persona needs five."""

MAX_FAULTS = 100
"""Refusals after which reading stops: more come from a file that was never meant as YAML."""

# What YAML forbids, and the marks that end a line for YAML but for no editor.
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def read_document(text: str, path: Path | None = None) -> tuple[Document | None, list[Fault]]:
    """Return the tree of ``text``, None if it is no YAML mapping, and what was refused.

    Never raises for anything in the text.
    """
    text = text.removeprefix("\ufeff")
    found = islice(_UNPRINTABLE.finditer(text), MAX_FAULTS)
    faults = [_unprintable(match, path) for match in found]
    text = _UNPRINTABLE.sub(" ", text)
    reader = _Reader(text, path, faults, iter(YAML(typ="safe", pure=True).parse(text)))
    try:
        root = reader.top()
    except _StopReadingError:
        return None, faults
    # A few bad escapes overflow, and the parser asserts that a %YAML line says 1.1 or 1.2.
    except (YAMLError, ValueError, OverflowError, AssertionError) as error:
        return None, [*faults, explain_syntax(error, text, path)]
    return Document(path, root), faults


def _unprintable(match: re.Match[str], path: Path | None) -> Fault:
    before = re.split("\r\n|\r|\n", match.string[: match.start()])
    name = f"U+{ord(match.group()):04X}"
    problem = say(zh=f"有看不见的控制字符 {name}", en=f"an invisible control character, {name}")
    fix = say(zh="删掉它", en="delete it")
    return Fault(problem, path, len(before), len(before[-1]) + 1, fix, "control-character")


class _StopReadingError(Exception):
    """No sense can be made of what follows; the fault is noted."""


@dataclass
class _Reader:
    """Turns events into nodes, noting faults on the way."""

    text: str
    path: Path | None
    faults: list[Fault]
    events: Iterator[Event]

    def top(self) -> Node:
        """Read the one mapping that the text should be."""
        next(self.events)  # the start of the stream
        start = next(self.events)
        if isinstance(start, StreamEndEvent):
            self._note(
                start,
                "empty-file",
                say(zh="文件是空的", en="the file is empty"),
                say(zh="照着模板写", en="start from a template"),
            )
            raise _StopReadingError
        root = self._node(next(self.events), 1)
        next(self.events)  # the end of the document
        self._only_one(next(self.events))
        if root.entries is None:
            if not root.broken:
                self.faults.append(not_a_mapping(self.text, root, self.path))
            raise _StopReadingError
        return root

    def _only_one(self, event: Event) -> None:
        if isinstance(event, DocumentStartEvent):
            self._note(
                event,
                "several-documents",
                say(
                    zh="这里又开始了一份文档，一个文件只能有一份",
                    en="a second document begins here",
                ),
                say(
                    zh="删掉 --- 或 ...，或者拆成两个文件",
                    en="delete the --- or ..., or make two files of it",
                ),
            )

    def _node(self, event: Event, depth: int) -> Node:
        place = _place(event)
        if isinstance(event, AliasEvent):
            self._refuse_alias(event)
            return Node(place, broken=True)
        self._refuse_decoration(event)
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if depth > MAX_DEPTH:
            self._note(
                event,
                "too-deep",
                say(zh=f"嵌套超过了 {MAX_DEPTH} 层", en=f"nested more than {MAX_DEPTH} deep"),
                say(zh="看看有没有多余的括号或缩进", en="look for stray brackets or indentation"),
            )
            raise _StopReadingError
        if isinstance(event, SequenceStartEvent):
            return Node(place, items=list(self._items(depth)))
        assert isinstance(event, MappingStartEvent)
        return Node(place, entries=self._entries(depth))

    def _scalar(self, event: ScalarEvent) -> Node:
        """Make a scalar's node; one written on one line without escapes runs beside its text."""
        mark = event.start_mark
        quoted = event.style in ("'", '"')
        begins = mark.index + quoted
        beside = self.text[begins : begins + len(event.value)] == event.value
        lead = int(quoted) if beside and "\n" not in event.value else None
        return Node(_place(event), event.value, plain=event.style is None, lead=lead)

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> dict[str, tuple[Place, Node]]:
        entries: dict[str, tuple[Place, Node]] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self.events), depth + 1)
            if key.items is not None or key.entries is not None or key.is_empty:
                self._refuse_key(event)
            elif key.text in entries:
                self._refuse_repeat(event, key.text, entries[key.text][0])
            elif not key.broken:
                entries[key.text] = (key.place, value)
        return entries

    def _refuse_alias(self, event: AliasEvent) -> None:
        self._note(
            event,
            "alias",
            say(zh=f"不支持引用 *{event.anchor}", en=f"the alias *{event.anchor} is not supported"),
            say(
                zh="把内容直接写在这里；本来就是文字的，用引号括起来",
                en="write the content out here; if it is meant as text, put it in quotes",
            ),
        )

    def _refuse_decoration(self, event: Event) -> None:
        if anchor := getattr(event, "anchor", None):
            self._note(
                event,
                "anchor",
                say(zh=f"不支持锚点 &{anchor}", en=f"the anchor &{anchor} is not supported"),
                say(
                    zh="删掉它；本来就是文字的，用引号括起来",
                    en="delete it; if it is meant as text, put it in quotes",
                ),
            )
        if tag := getattr(event, "tag", None):
            self._note(
                event,
                "tag",
                say(zh=f"不支持类型标记 {tag}", en=f"the tag {tag} is not supported"),
                say(
                    zh="删掉它；本来就是文字的，用引号括起来",
                    en="delete it; if it is meant as text, put it in quotes",
                ),
            )

    def _refuse_key(self, event: Event) -> None:
        self._note(
            event,
            "bad-key",
            say(
                zh="冒号前面应该是一个键的名字", en="before a colon there must be the name of a key"
            ),
            say(
                zh="这里要写文字的话，用引号括起来",
                en="if this is meant as text, put it in quotes",
            ),
        )

    def _refuse_repeat(self, event: Event, key: str, first: Place) -> None:
        self._note(
            event,
            "repeated-key",
            say(
                zh=f"{key} 写了两次，第一次在第 {first.line} 行",
                en=f"{key} is given twice, first on line {first.line}",
            ),
            say(zh="合成一个", en="make one of the two"),
        )

    def _note(self, event: Event, code: str, problem: str, fix: str) -> None:
        place = _place(event)
        self.faults.append(Fault(problem, self.path, place.line, place.column, fix, code))
        if len(self.faults) > MAX_FAULTS:
            raise _StopReadingError


def _place(event: Event) -> Place:
    mark = event.start_mark
    assert isinstance(mark, StringMark)
    return Place(mark.line + 1, mark.column + 1)
