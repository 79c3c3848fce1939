"""Settings of one OneBot v11 connection; the adapter's own, read without loading aiohttp."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from bot.strict import Strict
from trainer.language import say
from trainer.strict_yaml import refusal

Transport: TypeAlias = Literal["reverse_websocket", "forward_websocket", "http"]

_LISTENS = ("host", "port", "path")
_TOKEN = ("token_env", "token_file")
_SECRET = ("secret_env", "secret_file")


class OneBotConfig(Strict):
    """One way to a OneBot v11 implementation."""

    transport: Transport = "reverse_websocket"
    """Who connects to whom: it to us, we to it, or its HTTP POSTs to us and our calls to it."""
    host: str = "127.0.0.1"
    """Address to listen on (reverse WebSocket, HTTP POST); a public one needs a token."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes any."""
    path: str = Field("/onebot/v11/ws", pattern=r"^/[\w./-]*$")
    """Path to listen on."""
    url: str | None = None
    """Address of the implementation (forward WebSocket: ``ws://…``; HTTP API: ``http://…``)."""
    token_env: str | None = None
    """Environment variable with the access token."""
    token_file: Path | None = None
    """File with the access token, readable by its owner only."""
    secret_env: str | None = None
    """Environment variable with the secret of ``X-Signature`` (HTTP POST)."""
    secret_file: Path | None = None
    """File with the secret of ``X-Signature``, readable by its owner only."""

    @model_validator(mode="after")
    def _only_what_counts(self) -> OneBotConfig:
        """Refuse a setting that this transport would not look at."""
        idle = {
            "reverse_websocket": ("url", *_SECRET),
            "forward_websocket": (*_LISTENS, *_SECRET),
            "http": (),
        }[self.transport]
        for name in idle:
            if name in self.model_fields_set:
                raise refusal(
                    "onebot-setting",
                    say(
                        zh=f"transport 是 {self.transport} 时，{name} 不起作用",
                        en=f"{name} does nothing with transport {self.transport}",
                    ),
                    say(zh=f"删掉 {name}", en=f"delete {name}"),
                )
        return self

    @model_validator(mode="after")
    def _known_address(self) -> OneBotConfig:
        """An address is needed where we connect, and it must be one of the transport's."""
        schemes = {"forward_websocket": ("ws", "wss"), "http": ("http", "https")}
        if self.transport not in schemes:
            return self
        address = urlsplit(self.url or "")
        wanted = schemes[self.transport]
        if address.scheme not in wanted or not address.hostname:
            raise refusal(
                "onebot-url",
                say(
                    zh=f"transport 是 {self.transport} 时，url 要写 {wanted[0]}:// 开头的地址",
                    en=f"transport {self.transport} needs a url that begins with {wanted[0]}://",
                ),
                f"url: {wanted[0]}://127.0.0.1:3001",
            )
        if self.transport == "forward_websocket" and address.path.endswith(("/api", "/event")):
            raise refusal(
                "onebot-url",
                say(
                    zh="/api 只能发，/event 只能收，机器人两样都要",
                    en="/api only sends and /event only receives; the bot needs both",
                ),
                f"url: {address.scheme}://{address.netloc}/",
            )
        return self

    @model_validator(mode="after")
    def _guarded(self) -> OneBotConfig:
        """Whoever reaches a port without a token can speak for anybody: only this machine may."""
        if self.transport == "forward_websocket" or _is_loopback(self.host):
            return self
        needed = _SECRET if self.transport == "http" else _TOKEN
        if not any(getattr(self, name) for name in needed):
            raise refusal(
                "onebot-public",
                say(
                    zh=f"{self.host} 别的机器也能连，必须设置 {needed[0]} 或 {needed[1]}",
                    en=f"other machines reach {self.host}: it needs {needed[0]} or {needed[1]}",
                ),
                f"host: 127.0.0.1, {needed[0]}: ONEBOT_{needed[0].partition('_')[0].upper()}",
            )
        return self


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches ``host``; an unknown name may be anything."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
