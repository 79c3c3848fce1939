"""Corrections that were given in chats, written into the persona file they are about.

The file is a person's own, with comments and an order of theirs: lines are added to it, and
nothing else in it changes. It is read as a persona again before it replaces the old one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.maintenance import opened
from trainer.errors import Fault, SourceError
from trainer.language import say
from trainer.persona import read_persona
from trainer.strict_yaml import Document, read_document, read_text

PLUGIN = "correct"


@dataclass(frozen=True)
class Correction:
    """What an owner put right.

    Attributes:
        key: under which the plugin keeps it.
        persona: the persona's name in ``renshe.yaml``.
        user: what was said to it.
        wrong: what it answered.
        bot: what it should have answered.
        history: the rounds that led there, each what was said and what it answered.
    """

    key: str
    persona: str
    user: str
    wrong: str
    bot: str
    history: tuple[tuple[str, str], ...] = ()

    @property
    def rounds(self) -> tuple[tuple[str, str], ...]:
        """The conversation as it should have gone."""
        return (*self.history, (self.user, self.bot))


def corrections(database: Path, persona: str) -> list[Correction]:
    """Return the corrections of a persona that were not harvested yet, oldest first.

    Raises:
        StoreError: the database is missing or damaged.
    """
    sql = "SELECT key, value FROM plugin_storage WHERE plugin = ? AND scope = ?"
    with opened(database) as db:
        rows = db.conn.execute(sql, (PLUGIN, persona)).fetchall()
    kept = [(key, json.loads(value)) for key, value in rows]
    kept.sort(key=lambda row: row[1]["at"])
    return [Correction(key, persona, one["user"], one["wrong"], one["bot"]) for key, one in kept]


def drop(database: Path, done: Sequence[Correction]) -> None:
    """Forget corrections that were written into a persona, or that nobody wants."""
    sql = "DELETE FROM plugin_storage WHERE plugin = ? AND scope = ? AND key = ?"
    with opened(database) as db, db.atomic():
        for one in done:
            db.conn.execute(sql, (PLUGIN, one.persona, one.key))


def add_dialogues(path: Path, examples: Sequence[Correction]) -> None:
    """Add examples to the ``dialogues`` of a persona file, whole or not at all.

    Raises:
        SourceError: the file is wrong, or would be with them.
    """
    text = read_text(path)
    document, faults = read_document(text, path)
    if document is None:
        raise SourceError(faults=tuple(faults))
    making = path.with_name(f".{path.stem}.{os.getpid()}.yaml")
    try:
        making.write_text(_with(text, document, examples), encoding="utf-8")
        persona, _, faults = read_persona(making)
        if persona is None:
            raise SourceError(faults=(_refused(path), *faults))
        making.chmod(path.stat().st_mode)
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _with(text: str, document: Document, examples: Sequence[Correction]) -> str:
    """Return the text with the examples at the end of its dialogues."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    talks = document.members("dialogues")
    if not talks:
        return "".join([*lines, "\ndialogues:\n", *_written(examples, 2)])
    # The last one ends where the next key begins, without the comments that belong to that.
    indent = _dash(lines[document.value_place(*talks[0]).line - 1])
    last = document.value_place(*talks[-1]).line
    end = last
    while end < len(lines) and (not lines[end].strip() or _dash(lines[end]) > indent):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    return "".join([*lines[:end], *_written(examples, indent), *lines[end:]])


def _dash(line: str) -> int:
    """Return by how much a line is indented."""
    return len(line) - len(line.lstrip(" "))


def _written(examples: Sequence[Correction], indent: int) -> list[str]:
    """Return examples as YAML; a JSON string is one of YAML's too."""
    margin, lines = " " * indent, []
    for one in examples:
        dash = "- "  # of the conversation, at its first turn
        for user, bot in one.rounds:
            lines.append(f"{margin}{dash}- user: {json.dumps(user, ensure_ascii=False)}\n")
            lines.append(f"{margin}  - bot: {json.dumps(bot, ensure_ascii=False)}\n")
            dash = "  "
    return lines


def _refused(path: Path) -> Fault:
    return Fault(
        say(
            zh="加上这些例子，人设就有错了，没有写进去",
            en="with these examples the persona would be wrong; nothing was written",
        ),
        path,
        fix=say(
            zh="去掉有错的例子，或者自己写进文件",
            en="leave out those that are wrong, or write them into the file yourself",
        ),
        code="harvest",
    )
