"""Keeps files out: no component of a page takes any, so whoever sends one is no visitor.

Gradio takes them all the same, and bounds the size of each, but not how many come, nor for
how long they stay.
"""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class _NoUploads:
    """Refuses an upload before a byte of it is read (ASGI)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/").endswith("/upload"):
            refusal = PlainTextResponse("this page takes no files", status_code=403)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


NO_UPLOADS = Middleware(_NoUploads)
