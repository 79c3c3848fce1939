"""One WebSocket connection, whoever opened it: calls out, events in, and signs of life.

Calls and their answers are matched per connection, because an implementation may number
its answers anew on each, and because a call dies with its connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from itertools import count
from typing import Any, TypeAlias

from aiohttp import ClientWebSocketResponse, WebSocketError, WSCloseCode, WSMessage, WSMsgType, web

from bot.adapters.onebot_v11.calls import AmbiguousError, NotSentError, RefusedError
from bot.adapters.onebot_v11.hub import Hub
from bot.adapters.onebot_v11.wire import (
    Frame,
    HeartbeatFrame,
    MessageFrame,
    ResponseFrame,
    read_frame,
)
from trainer.language import say

WebSocket: TypeAlias = web.WebSocketResponse | ClientWebSocketResponse

MISSED_HEARTBEATS = 3
_ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)

_log = logging.getLogger(__name__)


class Socket:
    """A connection; a :class:`.calls.Caller` where ``calls``.

    Args:
        ws: the open WebSocket.
        hub: who is told.
        calls: the peer answers calls here.
        events: the peer sends events here.
    """

    def __init__(self, ws: WebSocket, hub: Hub, *, calls: bool = True, events: bool = True) -> None:
        self._ws = ws
        self._hub = hub
        self._calls, self._events = calls, events
        self._echoes: Iterator[int] = count(1)
        self._pending: dict[str, asyncio.Future[ResponseFrame]] = {}
        self._patience: float | None = None
        self._has_strayed = False
        self.self_id: str | None = None
        self.is_online = True
        self.since = time.time()

    def introduce(self, self_id: str) -> None:
        """Note whose connection it is; once only, for good."""
        if self.self_id is None:
            self.self_id = self_id
            if self._calls:
                self._hub.join(self_id, self)

    async def serve(self) -> str:
        """Read until it ends; returns why it did.

        Raises:
            RefusedError: the peer does not accept our token.
        """
        reason = say(zh="连接断了", en="the connection was lost")
        try:
            reason = await self._read()
            return reason
        finally:
            if self.self_id is not None:
                self._hub.leave(self.self_id, self)
            try:
                await self._ws.close()
            finally:
                self._give_up(reason)

    async def close(self) -> None:
        """End it."""
        await self._ws.close()

    async def call(self, action: str, params: dict[str, Any], timeout: float) -> ResponseFrame:
        if self._ws.closed:
            raise NotSentError(say(zh="连接已经断开", en="the connection is closed"))
        echo = str(next(self._echoes))
        answer: asyncio.Future[ResponseFrame] = asyncio.get_running_loop().create_future()
        self._pending[echo] = answer
        try:
            async with asyncio.timeout(timeout):
                frame = {"action": action, "params": params, "echo": echo}
                await self._ws.send_str(json.dumps(frame))
                return await answer
        except TimeoutError:
            raise AmbiguousError(
                say(zh=f"{timeout:g} 秒没有回音", en=f"no answer in {timeout:g} s")
            ) from None
        except ConnectionError as error:
            raise AmbiguousError(str(error)) from None
        finally:
            del self._pending[echo]

    def _give_up(self, reason: str) -> None:
        """Tell who waits for an answer that none will come."""
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(AmbiguousError(reason))

    # --- reading ------------------------------------------------------------------------------

    async def _read(self) -> str:
        """Read frame by frame; pings do not count as life where heartbeats were promised."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as life:
                while (message := await self._ws.receive()).type not in _ENDS:
                    life.reschedule(None)  # a full database is not the peer's silence
                    await self._take(message)
                    if self._patience is not None:
                        life.reschedule(loop.time() + self._patience)
        except TimeoutError:
            return say(zh="心跳停了", en="its heartbeats have stopped")
        return _ending(message, self._ws.close_code)

    async def _take(self, message: WSMessage) -> None:
        frame = read_frame(message.data) if message.type == WSMsgType.TEXT else None
        if frame is None:
            self._stray(say(zh="收到不是 OneBot v11 的帧", en="a frame is not OneBot v11"))
        elif isinstance(frame, ResponseFrame):
            self._answer(frame)
        elif self._is_own(frame.self_id):
            await self._heed(frame)
        else:
            self._stray(
                say(
                    zh=f"{self.self_id} 的连接上来了 {frame.self_id} 的事件",
                    en=f"an event of {frame.self_id} on the connection of {self.self_id}",
                )
            )

    def _is_own(self, self_id: str) -> bool:
        """Tell whose events these are; the first one names the account if nothing else did."""
        self.introduce(self_id)
        return self.self_id == self_id

    async def _heed(self, frame: Frame) -> None:
        if isinstance(frame, HeartbeatFrame):
            self._patience = MISSED_HEARTBEATS * frame.interval / 1000
            self.is_online = frame.status.online is not False
        elif isinstance(frame, MessageFrame) and self._events:
            await self._hub.take(frame)

    def _answer(self, frame: ResponseFrame) -> None:
        """Wake who waits for it; a refusal of the connection itself has no echo."""
        if frame.echo is None and frame.retcode in (1401, 1403):
            raise RefusedError(frame.reason)
        waiting = self._pending.get(frame.echo) if isinstance(frame.echo, str) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)

    def _stray(self, problem: str) -> None:
        """Say once a connection that something on it is left out."""
        if not self._has_strayed:
            self._has_strayed = True
            _log.warning(
                say(
                    zh=f"{self.self_id or '?'}：{problem}，这样的都不理会",
                    en=f"{self.self_id or '?'}: {problem}; such ones are left out",
                )
            )


def _ending(last: WSMessage, code: int | None) -> str:
    """Say why it ended; the code of a fault of the peer's is in the error, not in ours."""
    fault = last.data.code if isinstance(last.data, WebSocketError) else None
    if fault == WSCloseCode.MESSAGE_TOO_BIG:
        return say(zh="它发来的一帧太大了", en="it sent a frame that is too large")
    if fault == WSCloseCode.INVALID_TEXT:
        return say(zh="它发来的不是 UTF-8", en="it sent what is not UTF-8")
    return say(zh=f"它断开了（{code}）", en=f"it closed the connection ({code})")
