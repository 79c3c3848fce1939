"""Settings of one Telegram bot; the adapter's own, read without loading aiogram."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from bot.strict import Strict
from trainer.language import say
from trainer.strict_yaml import refusal

PUBLIC_SERVER = "https://api.telegram.org"
_PORTS = (443, 80, 88, 8443)


class WebhookConfig(Strict):
    """Where Telegram delivers updates, instead of being asked for them."""

    url: str = Field(pattern=r"^https?://[^/]+")
    """Public address of the reverse proxy, whose path is passed on unchanged."""
    host: str = "127.0.0.1"
    """Address to listen on, behind the proxy."""
    port: int = Field(8081, ge=0, le=65535)
    """Port to listen on; 0 takes any."""


class TelegramConfig(Strict):
    """One bot of BotFather's."""

    token_env: str | None = None
    """Environment variable with the bot's token."""
    token_file: Path | None = None
    """File with the bot's token, readable by its owner only."""
    api_url: str = Field(PUBLIC_SERVER, pattern=r"^https?://")
    """The Bot API server; another one is for those who run their own."""
    proxy: str | None = Field(None, pattern=r"^(http|socks4|socks5)://[^@/]+$")
    """Proxy to reach the server through: ``socks5://127.0.0.1:1080``; one without a password."""
    webhook: WebhookConfig | None = None
    """Where Telegram delivers updates; left out, they are fetched by long polling."""

    @model_validator(mode="after")
    def _one_token(self) -> TelegramConfig:
        if (self.token_env is None) == (self.token_file is None):
            raise refusal(
                "telegram-token",
                say(
                    zh="token_env 和 token_file 要写一个，也只能写一个",
                    en="exactly one of token_env and token_file is needed",
                ),
                "token_env: TELEGRAM_TOKEN",
            )
        return self

    @model_validator(mode="after")
    def _reachable_webhook(self) -> TelegramConfig:
        """The public server delivers over TLS and to four ports only; one's own is not so."""
        if self.webhook is None or self.api_url.rstrip("/") != PUBLIC_SERVER:
            return self
        address = urlsplit(self.webhook.url)
        if address.scheme != "https" or (address.port or 443) not in _PORTS:
            raise refusal(
                "telegram-webhook",
                say(
                    zh="Telegram 只送到 https 的 443、80、88、8443 端口",
                    en="Telegram delivers to https on the ports 443, 80, 88 and 8443 only",
                ),
                "url: https://bot.example.org/telegram",
            )
        return self
