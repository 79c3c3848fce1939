"""The rows of a data file, each with its place, and what is broken without stopping there.

Data files come from many hands: saved by an editor in another encoding, cut off by a
full disk, glued together by a script. Whoever must mend one wants every broken place
at once. So :func:`iter_rows` yields the rows of JSON lines or of one JSON array and,
in between, a :class:`~trainer.errors.Fault` for each row that is none.

Lines are read one by one, so memory does not grow with the file; an array is read whole.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from trainer.errors import DatasetError, Fault
from trainer.language import say

MAX_LINE_BYTES = 16 << 20
"""A longer line is no row: a file without line ends must not fill the memory."""

MAX_ARRAY_BYTES = 512 << 20
"""An array takes several times its size in memory; JSON lines take none."""

_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_EXTRA = "Extra data"
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a data file.

    Attributes:
        value: what JSON says.
        path: the file.
        line: 1-based line on which the value starts.
        item: 1-based number in the array, 0 in JSON lines.
    """

    value: object
    path: Path
    line: int
    item: int = 0

    def fault(self, problem: str, fix: str, code: str) -> Fault:
        """Return the fault of this row; an item of an array is named by its number too."""
        return Fault(_item(self.item) + problem, self.path, self.line, fix=fix, code=code)


def iter_rows(path: Path) -> Iterator[Row | Fault]:
    """Yield the rows of ``path`` and a fault for each that cannot be read.

    A UTF-8 byte order mark and blank lines are skipped.

    Raises:
        DatasetError: there is no such file, or it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            start = file.peek(4)
            if start.startswith(_WIDE_MARKS):
                yield _not_utf8(path, 1, 0, "UTF-16")
                return
            if start.startswith(codecs.BOM_UTF8):
                file.read(len(codecs.BOM_UTF8))
            yield from _rows(path, file)
    except OSError as error:
        raise _unreadable(path, error) from None


def _rows(path: Path, file: BufferedReader) -> Iterator[Row | Fault]:
    """Tell lines from an array by the first character that is no space."""
    number, line = 1, file.readline(MAX_LINE_BYTES + 1)
    while line and not line.strip():
        number, line = number + 1, file.readline(MAX_LINE_BYTES + 1)
    if line.lstrip().startswith(b"["):
        yield from _array_rows(path, line + file.read(MAX_ARRAY_BYTES + 1), number)
    else:
        yield from _line_rows(path, file, line, number)


def _line_rows(path: Path, file: BufferedReader, line: bytes, number: int) -> Iterator[Row | Fault]:
    while line:
        if len(line) > MAX_LINE_BYTES:
            yield _too_large(path, number, MAX_LINE_BYTES)
            return
        if line.strip():
            yield _line_row(path, number, line, last=not file.peek(1))
        number, line = number + 1, file.readline(MAX_LINE_BYTES + 1)


def _line_row(path: Path, number: int, line: bytes, *, last: bool) -> Row | Fault:
    text = _decoded(path, number, line, last=last)
    if isinstance(text, Fault):
        return text
    try:
        value, end = _value(text, _after_blank(text, 0))
        _nothing_after(text, end)
    except json.JSONDecodeError as error:
        cut = last and _looks_cut_off(error, text, "}")
        return _cut_off(path, number) if cut else _not_json(path, number, error)
    return Row(value, path, number)


def _array_rows(path: Path, content: bytes, first_line: int) -> Iterator[Row | Fault]:
    """Walk the items of one array; a broken item ends the walk, since none after it is certain."""
    if len(content) > MAX_ARRAY_BYTES:
        yield _too_large(path, first_line, MAX_ARRAY_BYTES)
        return
    text = _decoded(path, first_line, content, last=True)
    if isinstance(text, Fault):
        yield text
        return
    line, counted, item = first_line, 0, 0
    try:
        for item, (start, value) in enumerate(_items(text), 1):
            line += text.count("\n", counted, start)
            counted = start
            yield Row(value, path, line, item)
    except json.JSONDecodeError as error:
        place = first_line + error.lineno - 1
        cut = _looks_cut_off(error, text, "]")
        yield _cut_off(path, place) if cut else _not_json(path, place, error, item + 1)


def _items(text: str) -> Iterator[tuple[int, object]]:
    """Yield (offset, value) of each item; raise JSONDecodeError where the array is broken."""
    at = _after_blank(text, text.index("[") + 1)
    closed = text.startswith("]", at)
    while not closed:
        value, end = _value(text, at)
        yield at, value
        at = _after_blank(text, end)
        closed = text.startswith("]", at)
        if not closed:
            if not text.startswith(",", at):
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
            at = _after_blank(text, at + 1)
    _nothing_after(text, at + 1)


def _value(text: str, at: int) -> tuple[object, int]:
    """Parse one value at ``at``; return it and the offset of its end."""
    try:
        return json.JSONDecoder().raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, deep nesting
        raise json.JSONDecodeError(type(error).__name__, text, at) from None


def _nothing_after(text: str, at: int) -> None:
    if (rest := _after_blank(text, at)) < len(text):
        raise json.JSONDecodeError(_EXTRA, text, rest)


def _after_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _looks_cut_off(error: json.JSONDecodeError, text: str, closing: str) -> bool:
    """Tell whether ``text`` stops in the middle of a value, rather than holding a mistake."""
    if error.msg == _EXTRA:
        return False
    whole = text.rstrip()
    stops_here = "\n" not in whole[error.pos :]
    return error.pos >= len(whole) or (stops_here and not whole.endswith(closing))


def _decoded(path: Path, number: int, content: bytes, *, last: bool) -> str | Fault:
    """Decode UTF-8, or say where it is none and what it looks like."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = number + before.count(b"\n")
        if last and error.reason == "unexpected end of data":
            return _cut_off(path, place)
        column = len(before.rpartition(b"\n")[2].decode()) + 1
        return _not_utf8(path, place, column, "GBK" if _is_gbk(content) else "")


def _is_gbk(content: bytes) -> bool:
    try:
        content.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


def _item(number: int) -> str:
    return say(zh=f"第 {number} 项：", en=f"item {number}: ") if number else ""


def _not_json(path: Path, line: int, error: json.JSONDecodeError, item: int = 0) -> Fault:
    return Fault(
        _item(item) + say(zh=f"不是完整的 JSON：{error.msg}", en=f"not valid JSON: {error.msg}"),
        path,
        line,
        error.colno,
        say(
            zh="JSON Lines 每行一个完整的 {…}；带缩进的 JSON 请放进 […] 数组里",
            en="JSON lines have one whole {…} on each line; put indented JSON into an array […]",
        ),
        "bad-json",
    )


def _cut_off(path: Path, line: int) -> Fault:
    return Fault(
        say(
            zh="文件看起来被截断了：最后一条没有写完",
            en="the file looks cut off: its last row stops in the middle",
        ),
        path,
        line,
        fix=say(
            zh="重新复制或下载这个文件，或者删掉没写完的最后一条",
            en="copy or download the file again, or delete the unfinished last row",
        ),
        code="cut-off",
    )


def _not_utf8(path: Path, line: int, column: int, looks_like: str) -> Fault:
    guess_zh = f"，看起来是 {looks_like}" if looks_like else ""
    guess_en = f"; it looks like {looks_like}" if looks_like else ""
    return Fault(
        say(zh=f"不是 UTF-8 编码{guess_zh}", en=f"not encoded in UTF-8{guess_en}"),
        path,
        line,
        column,
        say(zh="在编辑器里另存为 UTF-8", en="save the file as UTF-8 in your editor"),
        "not-utf8",
    )


def _too_large(path: Path, line: int, limit: int) -> Fault:
    size = limit >> 20
    return Fault(
        say(zh=f"这一行（或数组）超过 {size} MiB", en=f"this line or array is over {size} MiB"),
        path,
        line,
        fix=say(
            zh="改成 JSON Lines：一行一条对话",
            en="write JSON lines: one conversation on each line",
        ),
        code="too-large",
    )


def _unreadable(path: Path, error: OSError) -> DatasetError:
    if isinstance(error, FileNotFoundError):
        problem = say(zh="没有这个文件", en="there is no such file")
    elif isinstance(error, IsADirectoryError):
        problem = say(zh="这是文件夹，不是文件", en="this is a folder, not a file")
    else:
        problem = say(zh=f"读不了：{error.strerror}", en=f"cannot be read: {error.strerror}")
    fix = say(zh="检查路径和权限", en="check the path and its permissions")
    return DatasetError(problem, path=path, fix=fix, code="unreadable")
