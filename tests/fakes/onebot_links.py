"""The three ways in which the fake implementation is connected, over real sockets."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import aiohttp
from aiohttp import web

from tests.fakes.onebot import QQ, DroppedError, GarbageError, failed

Role = Literal["Universal", "API", "Event"]
Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def answer_calls(account: QQ, ws: Socket, *, deaf: bool = False) -> None:
    """Answer the actions on a connection until it ends, each on its own as they finish.

    A ``deaf`` one is for events only: whatever is called on it is never answered.
    """
    tasks: set[asyncio.Task[None]] = set()
    async for message in ws:
        if message.type == aiohttp.WSMsgType.TEXT and not deaf:
            tasks.add(asyncio.create_task(_answer(account, ws, message.data)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(account: QQ, ws: Socket, frame: str) -> None:
    try:
        call = json.loads(frame)
    except ValueError:
        await ws.send_json(failed(1400, "json解析失败"))
        return
    try:
        response = await account.act(call.get("action"), call.get("params") or {})
    except DroppedError:
        # Whoever reads the connection ends with it, and with the reader this task does.
        await asyncio.shield(ws.close(code=1011))
        return
    except GarbageError:
        await ws.send_str("<html>bad gateway</html>")
        return
    await ws.send_json({**response, "echo": call.get("echo")})


class Connection:
    """A connection that the implementation opened to the bot."""

    def __init__(self, account: QQ, ws: aiohttp.ClientWebSocketResponse, role: Role) -> None:
        self.account, self.ws = account, ws
        if role != "API":
            account.links.append(self._deliver)
        self._task = asyncio.create_task(answer_calls(account, ws, deaf=role == "Event"))

    async def _deliver(self, event: dict[str, Any]) -> None:
        if not self.ws.closed:
            await self.ws.send_json(event)

    async def until_closed(self) -> int | None:
        """Wait until the other side ends it; returns the close code."""
        await self._task
        return self.ws.close_code

    async def close(self) -> None:
        with suppress(ValueError):
            self.account.links.remove(self._deliver)
        await self.ws.close()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def connected(
    account: QQ,
    url: str,
    *,
    token: str | None = None,
    scheme: str = "Bearer",
    role: Role = "Universal",
    lifecycle: bool = True,
    **headers: str,
) -> AsyncIterator[Connection]:
    """Connect to a reverse WebSocket with the headers that NapCat and go-cqhttp send."""
    sent = {"X-Self-ID": str(account.self_id), "X-Client-Role": role, "User-Agent": "OneBot/11"}
    if token is not None:
        sent["Authorization"] = f"{scheme} {token}"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as session:
        ws = await session.ws_connect(url, headers=sent, max_msg_size=50 * 2**20)
        connection = Connection(account, ws, role)
        try:
            if lifecycle and role != "API":
                await ws.send_json(account.lifecycle())
            yield connection
        finally:
            await connection.close()


class Server:
    """Forward WebSocket (``/``, ``/api``, ``/event``) and the HTTP API, on one port each way.

    Args:
        account: who is logged in.
        token: what callers must bring.
        like_napcat: a wrong token is accepted, told retcode 1403, and closed.
        port: 0 takes any; a given one lets a test come back after an outage.
    """

    def __init__(
        self,
        account: QQ,
        *,
        token: str = "",
        like_napcat: bool = False,
        port: int = 0,
        lifecycle: bool = True,
    ) -> None:
        self.account, self.port = account, port
        self.token, self._like_napcat = token, like_napcat
        self.closes_at_once = False
        self._lifecycle = lifecycle
        self.sockets: list[web.WebSocketResponse] = []
        self.attempts = 0

    async def __aenter__(self) -> "Server":
        app = web.Application()
        for path in ("/", "/api", "/event"):
            app.router.add_get(path, self._websocket)
        app.router.add_post("/{action}", self._http)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drop()
        await self._runner.cleanup()

    async def drop(self) -> None:
        """End every connection."""
        for ws in list(self.sockets):
            await ws.close(code=1012)

    def _refusal(self, request: web.Request) -> int | None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer").strip()
        given = given or request.query.get("access_token", "")
        if not self.token or given == self.token:
            return None
        return 403 if given else 401

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        self.attempts += 1
        refusal = self._refusal(request)
        if refusal and not self._like_napcat:
            return web.Response(status=refusal)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        if refusal:
            await ws.send_json(failed(1403, "token验证失败"))
            await ws.close(code=1008)
            return ws
        if self.closes_at_once:
            await ws.close(code=1012)
            return ws
        await self._serve(ws, request.path)
        return ws

    async def _serve(self, ws: web.WebSocketResponse, path: str) -> None:
        async def deliver(event: dict[str, Any]) -> None:
            if not ws.closed:
                await ws.send_json(event)

        self.sockets.append(ws)
        if path != "/api":
            self.account.links.append(deliver)
            if self._lifecycle:
                await deliver(self.account.lifecycle())
        try:
            await answer_calls(self.account, ws, deaf=path == "/event")
        finally:
            self.sockets.remove(ws)
            if path != "/api":
                self.account.links.remove(deliver)

    async def _http(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal:
            return web.Response(status=refusal)
        try:
            params = await request.json()
        except ValueError:
            return web.Response(status=400)
        try:
            response = await self.account.act(request.match_info["action"], params)
        except DroppedError:
            assert request.transport is not None
            request.transport.abort()
            raise
        except GarbageError:
            return web.Response(status=502, text="<html>bad gateway</html>")
        return (
            web.Response(status=404) if response["retcode"] == 1404 else web.json_response(response)
        )


@asynccontextmanager
async def posting(
    account: QQ, url: str, secret: str | None = None
) -> AsyncIterator[Callable[..., Awaitable[int]]]:
    """POST events to the bot; yields a function that posts anything and returns the status."""
    async with aiohttp.ClientSession() as session:

        async def post(body: bytes, **headers: str) -> int:
            sent = {"Content-Type": "application/json", "X-Self-ID": str(account.self_id)}
            if secret is not None:
                digest = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
                sent["X-Signature"] = f"sha1={digest}"
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.post(url, data=body, headers=sent) as response:
                return response.status

        async def deliver(event: dict[str, Any]) -> None:
            await post(json.dumps(event, ensure_ascii=False).encode())

        account.links.append(deliver)
        try:
            yield post
        finally:
            account.links.remove(deliver)
