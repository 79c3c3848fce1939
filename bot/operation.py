"""``/healthz`` and ``/metrics``, for this machine only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from bot.adapters.onebot_v11.config import OneBotConfig
from bot.adapters.telegram.config import TelegramConfig
from bot.errors import AdapterError, StoreError
from bot.listening import listen
from bot.runtime import Runtime
from trainer.language import say

HOST = "127.0.0.1"


@asynccontextmanager
async def watched(runtime: Runtime, port: int | None) -> AsyncIterator[int | None]:
    """Serve both while inside; yields the port, None if none is wanted.

    Raises:
        AdapterError: the port is taken.
    """
    if port is None:
        yield None
        return
    runner = await listen(_app(runtime), HOST, port, lambda error: _taken(port, error))
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _app(runtime: Runtime) -> web.Application:
    async def healthz(_request: web.Request) -> web.Response:
        """Answer 503 where a restart may help; a peer that is away is no such thing."""
        links = _links(runtime)
        try:
            counts = await runtime.store.counts()
        except StoreError as error:
            return web.json_response({"status": "failed", "store": str(error)}, status=503)
        status = "ok" if all(link["up"] for link in links) else "degraded"
        disabled = [name for name, why in runtime.plugins.states.items() if why]
        return web.json_response(
            {"status": status, "links": links, "disabled_plugins": disabled, "store": counts}
        )

    async def metrics(_request: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=runtime.metrics.text(), headers=headers)

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    return app


def _links(runtime: Runtime) -> list[dict[str, Any]]:
    """Return every connection of every adapter, with its platform and how it is connected."""
    entries = [entry for _, entry in runtime.config.adapters.each()]
    return [
        {"platform": adapter.platform, "transport": _transport(entry), **asdict(link)}
        for adapter, entry in zip(runtime.adapters, entries, strict=False)
        for link in adapter.links
    ]


def _transport(entry: BaseModel) -> str:
    """Name what the settings of an adapter choose; empty where there is no choice."""
    if isinstance(entry, OneBotConfig):
        return entry.transport
    if isinstance(entry, TelegramConfig):
        return "webhook" if entry.webhook else "polling"
    return ""


def _taken(port: int, error: OSError) -> AdapterError:
    return AdapterError(
        say(
            zh=f"打不开 {HOST}:{port}：{error.strerror}",
            en=f"cannot open {HOST}:{port}: {error.strerror}",
        ),
        fix=say(zh="换一个 operation.port（0 是任意）", en="give another operation.port (0: any)"),
        code="port",
    )
