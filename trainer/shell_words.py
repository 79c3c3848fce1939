"""Reads the words of a shell script without running any of it.

Only what the official scripts use is understood: variables that the script itself sets,
quotes, comments and lines that go on. What only a shell can know (``$(...)``, a variable
from outside) stays unknown, and is an error only where it matters.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import SourceError
from trainer.language import say

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_PIECE = re.compile(
    r"""'[^']*' | "(?:\\.|[^"\\])*" | \\. | (?<!\S)\#.* | `[^`]*` | \$\((?:[^()]|\([^)]*\))*\)
    | \$\{[^}]*\} | \$\w+ | \$[@*\#?$!-]""",
    re.VERBOSE,
)
_VARIABLE = re.compile(r"\\.|`[^`]*`|\$\([^)]*\)|\$\{[^}]*\}|\$\w+|\$[@*#?$!-]")
_OPERATOR = re.compile(r"\d*[<>].*|[|&;]+.*")

_UNKNOWN = "\ue000"
"""Stands in a word for what only a shell could know; a character that no script holds."""


@dataclass(frozen=True)
class Word:
    """A word of a command.

    Attributes:
        text: without quotes, variables in place.
        line: 1-based, of the script.
        unknown: what in it only a shell could know, as it is written; empty if nothing.
    """

    text: str
    line: int
    unknown: str = ""


def commands(script: str, path: Path) -> Iterator[list[Word]]:
    """Yield the commands of a script; assignments take effect and are not among them.

    Raises:
        SourceError: a quote is not closed.
    """
    variables: dict[str, Word] = {}
    words: list[Word] = []
    for number, line in enumerate(script.splitlines(), start=1):
        goes_on = line.endswith("\\")
        words += _words(line[:-1] if goes_on else line, number, variables, path)
        if goes_on:
            continue
        for command in _split(words):
            if left := _assigned(command, variables):
                yield left
        words = []
    yield from _split(words)


def _words(line: str, number: int, variables: dict[str, Word], path: Path) -> list[Word]:
    unknown: list[str] = []

    def value(match: re.Match[str]) -> str:
        found = match[0]
        if found[0] == "\\":
            return found
        name = found.strip("${}") if found[0] == "$" else ""
        known = variables.get(name)
        if known is None or known.unknown:
            unknown.append(known.unknown if known else found)
            return _UNKNOWN
        return re.sub(r"([\"'\\])", r"\\\1", known.text)

    def expanded(match: re.Match[str]) -> str:
        found = match[0]
        if found[0] == "#":
            return ""
        if found[0] == '"':
            return _VARIABLE.sub(value, found)
        return found if found[0] in "'\\" else value(match)

    try:
        texts = shlex.split(_PIECE.sub(expanded, line))
    except ValueError as error:
        raise SourceError(
            say(zh="引号没有成对", en="a quote is not closed"),
            path=path,
            line=number,
            fix=say(zh="在这一行补上引号", en="close it on this line"),
            code="script-quote",
        ) from error
    return [_word(text, number, unknown) for text in texts]


def _word(text: str, number: int, unknown: list[str]) -> Word:
    """Return a word; takes what is unknown in it off the front of ``unknown``."""
    count = text.count(_UNKNOWN)
    own, unknown[:count] = unknown[:count], []
    for part in own:
        text = text.replace(_UNKNOWN, part, 1)
    return Word(text, number, own[0] if own else "")


def _split(words: list[Word]) -> Iterator[list[Word]]:
    """Yield the commands of one line: they end at ``&&``, ``;``, ``|`` or a redirection."""
    command: list[Word] = []
    for word in words:
        if _OPERATOR.fullmatch(word.text):
            if command:
                yield command
            command = []
        else:
            command.append(word)
    if command:
        yield command


def _assigned(command: list[Word], variables: dict[str, Word]) -> list[Word]:
    """Note leading assignments; return what is left: a command, or nothing."""
    words = command[1:] if command[0].text == "export" else command
    found: dict[str, Word] = {}
    for place, word in enumerate(words):
        match = _ASSIGNMENT.fullmatch(word.text)
        if not match:
            return words[place:]  # assignments before a command are that command's alone
        found[match[1]] = Word(match[2], word.line, word.unknown)
    variables |= found
    return []
