"""The libraries of a bot are an extra: who only trains does not install them."""

from __future__ import annotations

from importlib.util import find_spec

from bot.errors import BotConfigError
from trainer.language import say

_MODULES = {
    "aiohttp": "aiohttp",
    "aiogram": "aiogram",
    "sqlite_utils": "sqlite-utils",
    "prometheus_client": "prometheus-client",
}


def require_extra() -> None:
    """Refuse to go on without them.

    Raises:
        BotConfigError: with those that are missing, and how to install them.
    """
    missing = [name for module, name in _MODULES.items() if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        raise BotConfigError(
            say(zh=f"没有安装机器人要用的 {names}", en=f"a bot needs {names}: not installed"),
            fix="pip install 'renshe[bot]'",
            code="no-extra",
        )
