"""A server that speaks the OpenAI chat API, as vLLM and llama.cpp stream it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class ChatApi:
    """What it is to answer, and what it was asked.

    Attributes:
        replies: texts, one a request; the last one comes again and again.
        status: of every response; other than 200, ``body`` is its text.
        fault: ``hang`` sends nothing more from some letter on but signs of life, ``cut`` closes
            there, ``garbage`` sends no JSON, ``error`` sends an error event.
        letters: that come before the fault.
    """

    replies: list[str] = field(default_factory=lambda: ["Hello there."])
    status: int = 200
    body: str = "no"
    fault: str = ""
    letters: int = 1
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        if self.status != 200:
            return web.Response(status=self.status, text=self.body)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await self._stream(request, response)
        finally:
            self.ended.set()
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse) -> None:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        await response.write(b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n: hm\n\n')
        for index, letter in enumerate(reply):
            if self.fault and index == self.letters:
                await self._fail(request, response)
            piece = {"choices": [{"delta": {"content": letter}}], "error": None}
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
        await response.write(b'data: {"choices": [], "usage": {}}\n\ndata: [DONE]\n\n')

    async def _fail(self, request: web.Request, response: web.StreamResponse) -> None:
        if self.fault == "hang":
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.01)
                await response.write(b": still here\n\n")
        elif self.fault == "cut" and request.transport is not None:
            request.transport.abort()
        elif self.fault == "garbage":
            await response.write(b"data: {no json\n\n")
        else:
            await response.write(
                b'data: {"error": {"message": "no password", "type": "server_error"}}\n\n'
            )


@contextmanager
def serving(api: ChatApi) -> Iterator[ChatApi]:
    """Serve in a thread of its own while inside."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", api.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(5)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
