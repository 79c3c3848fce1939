"""Settings of one Telegram bot; the adapter's own, read without loading aiogram."""

from __future__ import annotations

from pathlib import Path

from bot.strict import Strict


class TelegramConfig(Strict):
    """One bot of BotFather's."""

    token_env: str | None = None
    """Environment variable with the bot's token."""
    token_file: Path | None = None
    """File with the bot's token, readable by its owner only."""
    api_url: str = "https://api.telegram.org"
    """The Bot API server; another one is for those who run their own."""
