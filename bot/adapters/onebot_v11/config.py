"""Settings of one OneBot v11 connection; the adapter's own, read without loading aiohttp."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from bot.strict import Strict


class OneBotConfig(Strict):
    """One way to a OneBot v11 implementation."""

    transport: Literal["reverse_websocket", "forward_websocket", "http"] = "reverse_websocket"
    """Who connects to whom: it to us, we to it, or its HTTP POSTs to us and our calls to it."""
    host: str = "127.0.0.1"
    """Address to listen on (reverse WebSocket, HTTP POST); a public one needs a token."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes any."""
    path: str = "/onebot/v11/ws"
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
