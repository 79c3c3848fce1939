"""Reverse WebSocket: implementations connect to us, any number of accounts on one port."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from aiohttp import web

from bot.adapter import Link
from bot.adapters.onebot_v11.calls import LARGEST_FRAME, RefusedError
from bot.adapters.onebot_v11.config import OneBotConfig
from bot.adapters.onebot_v11.door import Door, from_a_page, is_same, token_of
from bot.adapters.onebot_v11.hub import Hub
from bot.adapters.onebot_v11.socket import Socket
from bot.secrets import read_secret
from trainer.language import say

_ACCOUNT = re.compile(r"[1-9][0-9]{0,19}")

_log = logging.getLogger(__name__)


class Reverse:
    """The transport.

    Args:
        config: where to listen.
        hub: who is told.
    """

    def __init__(self, config: OneBotConfig, hub: Hub) -> None:
        self._config = config
        self._hub = hub
        self._token: str | None = None
        self._door = Door(config.host, config.port, config.path, self._answer)
        self._sockets: set[Socket] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._door.port

    @property
    def links(self) -> Sequence[Link]:
        """The accounts that are connected; if there are none, where they are awaited."""
        known = {socket.self_id: socket for socket in self._sockets if socket.self_id}
        links = [self._link(self_id, socket) for self_id, socket in known.items()]
        address = f"ws://{self._config.host}:{self.port}{self._config.path}"
        return links or [Link(address, False, say(zh="还没有人连上来", en="nobody has connected"))]

    def _link(self, self_id: str, socket: Socket) -> Link:
        problem = ""
        if self._hub.newest(self_id) is None:
            problem = say(zh="只能收，不能发", en="it only receives: there is no API connection")
        elif not socket.is_online:
            problem = say(zh="QQ 掉线了", en="QQ is offline")
        return Link(f"QQ {self_id}", not problem, problem, 0.0 if problem else socket.since)

    async def start(self) -> None:
        """Listen."""
        self._token = read_secret("token", self._config.token_env, self._config.token_file)
        await self._door.open()

    async def run(self) -> None:
        """Let in who comes, until the adapter is stopped."""
        await self._hub.stopped.wait()

    async def close(self) -> None:
        """End every connection."""
        for socket in list(self._sockets):
            await socket.close()
        await self._door.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        timing = self._hub.timing
        ws = web.WebSocketResponse(
            timeout=timing.part, heartbeat=timing.ping, max_msg_size=LARGEST_FRAME
        )
        if not ws.can_prepare(request):
            return web.Response(status=426, text="WebSocket")
        await ws.prepare(request)
        await self._serve(ws, request)
        return ws

    def _refusal(self, request: web.Request) -> web.Response | None:
        given = token_of(request)
        if self._token is None:
            if from_a_page(request):
                reason = say(zh="网页不行，除非设了 token", en="a web page, and no token is set")
                return self._door.refuse(request, 403, reason)
            return None
        if not given:
            return self._door.refuse(request, 401, say(zh="没有 token", en="it has no token"))
        if not is_same(given, self._token):
            return self._door.refuse(request, 403, say(zh="token 不对", en="its token is wrong"))
        return None

    async def _serve(self, ws: web.WebSocketResponse, request: web.Request) -> None:
        role = request.headers.get("X-Client-Role", "Universal").lower()
        socket = Socket(ws, self._hub, calls=role != "event", events=role != "api")
        account = request.headers.get("X-Self-ID", "")
        if _ACCOUNT.fullmatch(account):
            socket.introduce(account)
        self._sockets.add(socket)
        name = f"QQ {account or '?'} ({role})"
        _log.info(say(zh=f"{name} 连上了", en=f"{name} is connected"))
        try:
            reason = await socket.serve()
        except RefusedError as error:
            reason = str(error)
        finally:
            self._sockets.discard(socket)
        if not self._hub.stopped.is_set():  # else it was we who ended it
            _log.warning(say(zh=f"{name} 断开了：{reason}", en=f"{name} is gone: {reason}"))
