"""Secrets come from the environment or from a file that only their owner can read.

Never from ``renshe.yaml``, which people paste into chats when they ask for help.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bot.errors import BotConfigError
from trainer.language import say


def read_secret(what: str, env: str | None, file: Path | None) -> str | None:
    """Return a secret; None if neither a variable nor a file is named.

    Args:
        what: the setting's name without ``_env`` and ``_file``: ``token``.
        env: the environment variable; it must be set and not be empty.
        file: the file; white space around the secret does not count.

    Raises:
        BotConfigError: what was named is not there, is empty, or can be read by others.
    """
    if env is not None and file is not None:
        raise BotConfigError(
            say(zh=f"{what}_env 和 {what}_file 只能写一个", en=f"both {what}_env and {what}_file"),
            fix=say(zh="删掉一个", en="delete one of them"),
            code="secret",
        )
    if file is not None:
        return _from_file(what, file)
    return _from_environment(what, env) if env is not None else None


class ExposedError(Exception):
    """Others than its owner can read a file."""


def read_private(file: Path) -> str:
    """Return the text of a file that only its owner can read, without white space around it.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
        ExposedError: others can read it.
    """
    mode = file.stat().st_mode
    text = file.read_text("utf-8").strip()
    # systemd lets a service read its credentials by an ACL, which the group's bits show.
    spared = stat.S_IRGRP if _is_credential(file) else 0
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO) & ~spared:
        raise ExposedError
    return text


def _is_credential(file: Path) -> bool:
    """Tell whether a file that is there is a credential that systemd gave to this service."""
    folder = Path(os.environ.get("CREDENTIALS_DIRECTORY", ""))
    return folder.is_absolute() and file.resolve().parent == folder.resolve()


def _from_environment(what: str, name: str) -> str:
    secret = os.environ.get(name, "").strip()
    if not secret:
        raise BotConfigError(
            say(
                zh=f"{what}_env 指的环境变量 {name} 没有设置",
                en=f"the variable {name} that {what}_env names is not set",
            ),
            fix=f"export {name}=…",
            code="secret",
        )
    return secret


def _from_file(what: str, file: Path) -> str:
    try:
        secret = read_private(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or say(zh="不是文本", en="it is no text")
        raise BotConfigError(
            say(zh=f"读不了 {what}_file：{reason}", en=f"cannot read {what}_file: {reason}"),
            path=file,
            fix=say(zh="检查路径和权限", en="check the path and its permissions"),
            code="secret",
        ) from None
    except ExposedError:
        raise BotConfigError(
            say(zh=f"别人也能读这个 {what}_file", en=f"others can read this {what}_file"),
            path=file,
            fix=f"chmod 600 {file}",
            code="secret",
        ) from None
    if not secret:
        raise BotConfigError(
            say(zh=f"{what}_file 是空的", en=f"{what}_file is empty"),
            path=file,
            fix=say(zh="把密钥写进去", en="write the secret into it"),
            code="secret",
        )
    return secret
