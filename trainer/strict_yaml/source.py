"""The bytes of a file a person wrote, as text.

Windows editors save Chinese as GBK or UTF-16 still; guessing would turn a persona into
nonsense that trains without complaint. So only UTF-8 is read, and anything else is
refused with the place, the likely encoding and what to do.
"""

from __future__ import annotations

from pathlib import Path

from trainer.errors import SourceError
from trainer.language import say

MAX_BYTES = 4 * 1024 * 1024
"""The longest file that is read: a persona of 10,000 facts fits."""


def read_text(path: Path | str) -> str:
    """Return the text of a file, without a byte order mark.

    Raises:
        SourceError: no such file, a folder, unreadable, over MAX_BYTES, or not UTF-8 (then
            with byte offset, line and column).
    """
    path = Path(path)
    data = _read_bytes(path)
    if len(data) > MAX_BYTES:
        raise SourceError(
            say(
                zh=f"文件太大，超过 {MAX_BYTES >> 20} MiB",
                en=f"the file is larger than {MAX_BYTES >> 20} MiB",
            ),
            path=path,
            fix=say(
                zh="拆成几个文件，或者看看是不是选错了",
                en="split it, or see if it is the right one",
            ),
            code="too-large",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error.start + _bom_length(data)) from None


def _bom_length(data: bytes) -> int:
    return 3 if data.startswith(b"\xef\xbb\xbf") else 0


def _read_bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise SourceError(
                say(zh="这不是文件", en="this is no file"),
                path=path,
                fix=say(zh="写出文件的完整名字", en="name the file itself"),
                code="not-a-file",
            )
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SourceError(
            say(zh="没有这个文件", en="no such file"),
            path=path,
            fix=say(zh="检查名字和所在的文件夹", en="check the name and the folder"),
            code="not-found",
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise SourceError(
            say(zh=f"读不了这个文件：{error}", en=f"the file cannot be read: {error}"),
            path=path,
            fix=say(zh="检查文件的权限", en="check the file's permissions"),
            code="unreadable",
        ) from None


def _not_utf8(path: Path, data: bytes, offset: int) -> SourceError:
    start = data.rfind(b"\n", 0, offset) + 1
    likely = _likely_encoding(data)
    return SourceError(
        say(
            zh=f"文件不是 UTF-8 编码：第 {offset} 个字节（从 0 数起）是 0x{data[offset]:02X}"
            + (f"，看起来是 {likely}" if likely else ""),
            en=f"the file is not UTF-8: byte {offset} (from 0) is 0x{data[offset]:02X}"
            + (f"; it looks like {likely}" if likely else ""),
        ),
        path=path,
        line=data.count(b"\n", 0, offset) + 1,
        column=len(data[start:offset].decode("utf-8-sig", "replace")) + 1,
        fix=say(
            zh="用编辑器另存为 UTF-8 编码（记事本：文件 → 另存为 → 编码）",
            en="save it as UTF-8 in your editor (Notepad: Save as, Encoding)",
        ),
        code="not-utf8",
    )


def _likely_encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return "GBK"
