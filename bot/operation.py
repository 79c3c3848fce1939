"""``/healthz`` and ``/metrics``, for this machine only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

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
        links = [link for adapter in runtime.adapters for link in adapter.links]
        try:
            counts = await runtime.store.counts()
        except StoreError as error:
            return web.json_response({"status": "failed", "store": str(error)}, status=503)
        status = "ok" if all(link.up for link in links) else "degraded"
        shown = [{"name": link.name, "up": link.up, "detail": link.detail} for link in links]
        disabled = [name for name, why in runtime.plugins.states.items() if why]
        return web.json_response(
            {"status": status, "links": shown, "disabled_plugins": disabled, "store": counts}
        )

    async def metrics(_request: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=runtime.metrics.text(), headers=headers)

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    return app


def _taken(port: int, error: OSError) -> AdapterError:
    return AdapterError(
        say(
            zh=f"打不开 {HOST}:{port}：{error.strerror}",
            en=f"cannot open {HOST}:{port}: {error.strerror}",
        ),
        fix=say(zh="换一个 operation.port（0 是任意）", en="give another operation.port (0: any)"),
        code="port",
    )
