"""What can go wrong with a bot that a person can mend; see :mod:`trainer.errors`.

An error's text goes to the terminal and to the log: no secret is ever put into one.
"""

from __future__ import annotations

from trainer.errors import RensheError


class BotConfigError(RensheError):
    """``renshe.yaml`` is wrong, or a secret that it names is missing."""


class AdapterError(RensheError):
    """A platform refuses the bot, or a socket cannot be opened."""


class StoreError(RensheError):
    """The database cannot be read or written."""

    exit_code = 1


class EngineError(RensheError):
    """A model does not answer."""

    exit_code = 1


class PluginError(RensheError):
    """A plugin cannot be loaded, or it failed."""
