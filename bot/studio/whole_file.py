"""Writes a text file whole or not at all, and says what the disk objects to."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from trainer.errors import RensheError
from trainer.language import say


def write_whole(path: Path, text: str, *, durable: bool = True) -> None:
    """Write UTF-8 ``text`` to ``path``; a reader sees the former content or all of this.

    Args:
        path: the file; its folder is made, and its permissions are kept.
        text: written as it is, line ends included.
        durable: wait until it would outlast a power failure.

    Raises:
        RensheError: the disk is full, read-only or forbidden; the former content stands.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode(), durable)
    except OSError as error:
        raise disk_refusal(path, error) from None


def disk_refusal(path: Path, error: OSError) -> RensheError:
    """Return what to tell the user when the disk refuses to write ``path``."""
    return RensheError(
        say(zh=f"写不了：{error.strerror or error}", en=f"cannot write: {error.strerror or error}"),
        path=path,
        fix=say(
            zh="看看磁盘是不是满了、文件夹能不能写；网页上的文字还在，好了再试",
            en="see whether the disk is full and the folder writable, then try again: "
            "the text is still on the page",
        ),
        code="disk",
    )


def _replace(path: Path, data: bytes, durable: bool) -> None:
    making = path.with_name(f".{path.stem[:40]}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with making.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if path.exists():
            making.chmod(path.stat().st_mode)
        making.replace(path)
    finally:
        with suppress(OSError):
            making.unlink(missing_ok=True)
