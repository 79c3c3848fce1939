"""The platforms: one entry each, and nothing is imported until it is used.

A new platform is one package here, its line in :data:`ADAPTERS`, and its list in
:class:`bot.config.Adapters`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bot.adapter import Adapter, Inlet

ADAPTERS = {
    "onebot_v11": "bot.adapters.onebot_v11.adapter:OneBotV11",
    "telegram": "bot.adapters.telegram.adapter:Telegram",
    "console": "bot.adapters.console:Console",
}
"""Name in ``renshe.yaml`` and where the class is; each is made as ``Class(config, inlet)``."""


def make_adapter(name: str, config: Any, inlet: Inlet) -> Adapter:
    """Make the adapter called ``name`` of its settings; neither connects nor reads secrets."""
    module, _, kind = ADAPTERS[name].partition(":")
    adapter: Adapter = getattr(import_module(module), kind)(config, inlet)
    return adapter
