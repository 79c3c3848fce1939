"""What is no YAML at all, said so that a person who never learnt YAML can mend it.

The usual ones in Chinese files come from the input method: a full-width colon, comma
or quote where YAML wants the half-width one.
"""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml.error import MarkedYAMLError

from trainer.errors import Fault
from trainer.language import say
from trainer.strict_yaml.tree import Node, Place


def explain_syntax(error: Exception, text: str, path: Path | None) -> Fault:
    """Return the fault for a parser's ``error`` in ``text``."""
    place, what = Place(1, 1), str(error)
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else place
        what = f"{error.context or ''} {error.problem or ''}".strip()
        # What is unclosed is mended where it begins, and not where the parser gives up.
        unclosed = any(sign in what for sign in ("end of stream", "<stream end>", "simple key"))
        if error.context_mark and unclosed:
            place = Place(error.context_mark.line + 1, error.context_mark.column + 1)
    line = _line(text, place.line)
    problem, fix = _wording(what, line)
    if wide := _full_width_colon(line):
        fix = wide
    return Fault(problem, path, place.line, place.column, fix, "not-yaml")


def not_a_mapping(text: str, root: Node, path: Path | None) -> Fault:
    """Return the fault for a file whose top is no mapping."""
    line = _line(text, root.place.line)
    return Fault(
        say(zh="文件最外层应该是一行行的“键: 值”", en="the file should be lines of `key: value`"),
        path,
        root.place.line,
        root.place.column,
        _full_width_colon(line)
        or say(
            zh="冒号要半角，后面空一格，如 name: 沐雪", en="write a colon and a space: `name: Lin`"
        ),
        "not-a-mapping",
    )


def _line(text: str, number: int) -> str:
    """Return a line of ``text``, the last one for a place behind its end."""
    lines = text.splitlines() or [""]
    return lines[min(number, len(lines)) - 1]


def _full_width_colon(line: str) -> str:
    """Return the fix for a line whose key is followed by no proper colon, or nothing."""
    if re.match(r"[\s-]*\w+\s*：", line):
        return say(
            zh="把全角冒号“：”换成半角冒号加空格“: ”",
            en="replace the full-width colon with a plain colon and a space",
        )
    if re.match(r"[\s-]*\w+:\S", line):
        return say(zh="冒号后面要空一格", en="put a space after the colon")
    return ""


def _wording(what: str, line: str) -> tuple[str, str]:
    """Return (problem, fix) for what the parser says in English."""
    if "'\\t'" in what or line.startswith("\t"):
        return (
            say(zh="缩进用了制表符（Tab）", en="a tab is used to indent"),
            say(zh="把 Tab 换成空格", en="use spaces"),
        )
    if "quoted scalar" in what and "end of stream" in what:
        return (
            say(zh="引号没有配对", en="this quote is never closed"),
            say(zh="在文字末尾补上引号", en="close it at the end of the text"),
        )
    if "flow" in what:
        return (
            say(
                zh="括号没有配对，或者缺了逗号", en="a bracket is not closed, or a comma is missing"
            ),
            say(
                zh="检查 [ ] 和 { }；逗号要半角；含特殊符号的文字用引号括起来",
                en="check [ ] and { }; put text that holds signs in quotes",
            ),
        )
    if "escape" in what:
        return (
            say(
                zh="双引号里的反斜杠写法不对", en="a backslash in double quotes means nothing here"
            ),
            say(
                zh="正则表达式用单引号括起来，反斜杠就原样保留",
                en="put a pattern in single quotes: backslashes stay as they are there",
            ),
        )
    if "mapping values are not allowed" in what:
        return (
            say(zh="这里不该有冒号", en="a colon does not belong here"),
            say(
                zh="文字里有冒号就用引号括起来；否则检查上一行的缩进",
                en="put text that holds a colon in quotes, or check the indentation",
            ),
        )
    if "cannot start any token" in what or "alias" in what or "anchor" in what or "tag" in what:
        return (
            say(zh="文字不能以这个符号开头", en="text cannot begin with this sign"),
            say(zh="用引号括起来", en="put it in quotes"),
        )
    return _layout(what)


def _layout(what: str) -> tuple[str, str]:
    if "block scalar" in what:
        return (
            say(zh="| 或 > 后面不能再写字", en="nothing may follow | or > on its line"),
            say(zh="把文字写到下一行，并缩进", en="write the text on the next line, indented"),
        )
    if "expected ':'" in what:
        return (
            say(zh="这一行缺了冒号", en="this line has no colon"),
            say(
                zh="写成“键: 值”；是上一行的后半句就缩进",
                en="write `key: value`; indent it if it goes on from the line before",
            ),
        )
    if "block" in what or "sequence entries" in what:
        return (
            say(zh="缩进对不齐，或者多了符号", en="the indentation does not line up"),
            say(
                zh="同一层的每一行要从同一列开始；- 另起一行",
                en="begin every line of one level in the same column, each - on a line of its own",
            ),
        )
    return (
        say(zh=f"这里读不懂（{what}）", en=f"not YAML: {what}"),
        say(zh="文字里有特殊符号就用引号括起来", en="put text that holds signs in quotes"),
    )
