"""Secrets that are typed into the page: each in a file of its own that only its owner reads.

They are written here and nowhere else: not into ``renshe.yaml``, not into a log, and no
page ever shows one again.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from bot.studio.whole_file import disk_refusal
from trainer.errors import RensheError
from trainer.language import say

FOLDER = "secrets"

LONGEST = 512
"""Characters in a secret; Telegram's have 46."""

_TELEGRAM = re.compile(r"\d+:[\w-]+", re.ASCII)


def checked_secret(secret: str, *, telegram: bool = False) -> str:
    """Return a secret without the white space around it that copying brings along.

    Raises:
        RensheError: it cannot be a token; its text is not in the message.
    """
    secret = secret.strip()
    if telegram and not _TELEGRAM.fullmatch(secret):
        raise _odd(
            say(
                zh="从 @BotFather 重新复制，像 123456789:AA… 那样",
                en="copy it again from @BotFather; it looks like 123456789:AA…",
            )
        )
    if len(secret) > LONGEST or not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise _odd(
            say(
                zh=f"只用英文字母、数字和符号，不要空格，最多 {LONGEST} 个",
                en=f"use ASCII letters, digits and signs without spaces, {LONGEST} at most",
            )
        )
    return secret


def new_secret_file(root: Path, stem: str, secret: str) -> Path:
    """Write a secret into a new file of the project; returns its path relative to ``root``.

    Raises:
        RensheError: the disk refuses it.
    """
    folder = root / FOLDER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep_from_git(folder)
        for number in range(1, 1000):
            path = folder / (stem if number == 1 else f"{stem}-{number}")
            with suppress(FileExistsError):
                _write(path, secret, os.O_EXCL)
                return path.relative_to(root)
    except OSError as error:
        raise disk_refusal(folder, error) from None
    raise disk_refusal(folder, FileExistsError(0, stem))


def replace_secret(path: Path, secret: str) -> None:
    """Write another secret into a file, readable by its owner only from then on.

    Raises:
        RensheError: the disk refuses it; the former secret stands.
    """
    making = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(making, secret, os.O_EXCL)
        making.replace(path)
    except OSError as error:
        raise disk_refusal(path, error) from None
    finally:
        with suppress(OSError):
            making.unlink(missing_ok=True)


def _write(path: Path, secret: str, flags: int) -> None:
    """Write a file that was never readable by anybody else, not even for a moment."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.chmod(path, 0o600)  # noqa: PTH101  whatever the mask takes away
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())


def _keep_from_git(folder: Path) -> None:
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")


def _odd(fix: str) -> RensheError:
    return RensheError(
        say(zh="这不像一个 token", en="this does not look like a token"), fix=fix, code="odd-token"
    )
