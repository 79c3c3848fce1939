"""HTTP: an implementation POSTs its events to us, and we POST our calls to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import ClientConnectorError, ClientError, ClientResponse, ClientSession, web

from bot.adapter import Link
from bot.adapters.onebot_v11.calls import (
    LARGEST_FRAME,
    AmbiguousError,
    NotSentError,
    OutageError,
    RefusedError,
    who_is,
)
from bot.adapters.onebot_v11.config import OneBotConfig
from bot.adapters.onebot_v11.door import Door, from_a_page, is_signed
from bot.adapters.onebot_v11.forward import authorization, plain, refused, shown, wrong_token
from bot.adapters.onebot_v11.hub import Hub
from bot.adapters.onebot_v11.line import Line, pause
from bot.adapters.onebot_v11.wire import Frame, MessageFrame, ResponseFrame, read_frame
from bot.secrets import read_secret
from trainer.language import say


class Http:
    """The transport, and its own :class:`.calls.Caller`.

    Args:
        config: where to listen, and where the API is.
        hub: who is told.
    """

    def __init__(self, config: OneBotConfig, hub: Hub) -> None:
        self._config = config
        self._hub = hub
        self._url = (config.url or "").rstrip("/")
        self._secret: str | None = None
        self._line = Line(shown(self._url), hub.timing)
        self._door = Door(config.host, config.port, config.path, self._receive)
        self._session: ClientSession | None = None
        self._self_id: str | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._door.port

    @property
    def links(self) -> Sequence[Link]:
        """The API; events come by themselves."""
        return (self._line.link,)

    async def start(self) -> None:
        """Listen, and look at the API once: a wrong token is told at once."""
        config = self._config
        self._secret = read_secret("secret", config.secret_env, config.secret_file)
        token = read_secret("token", config.token_env, config.token_file)
        self._session = ClientSession(headers=authorization(token))
        await self._door.open()
        try:
            await self._look()
        except RefusedError as error:
            raise wrong_token(config, str(error)) from None
        except OutageError as error:
            self._line.fails(str(error))

    async def run(self) -> None:
        """Look at the API from time to time, until the adapter is stopped."""
        while not self._hub.stopped.is_set():
            wait = self._hub.timing.watch
            try:
                await self._look()
            except OutageError as error:
                wait = self._line.fails(str(error))
            except RefusedError as error:
                wait = self._line.fails(refused(str(error)), refused=True)
            await pause(self._hub.stopped, wait)

    async def close(self) -> None:
        """Listen no more, call no more."""
        if self._self_id is not None:
            self._hub.leave(self._self_id, self)
        await self._door.close()
        if self._session is not None:
            await self._session.close()

    # --- calls --------------------------------------------------------------------------------

    async def call(self, action: str, params: dict[str, Any], timeout: float) -> ResponseFrame:
        if self._session is None or self._session.closed:
            raise NotSentError(say(zh="已经关闭", en="it is closed"))
        try:
            async with asyncio.timeout(timeout):
                async with self._session.post(
                    f"{self._url}/{action}",
                    data=json.dumps(params),
                    headers={"Content-Type": "application/json"},
                    allow_redirects=False,  # the token is for this address only
                ) as response:
                    return await _answer(response)
        except ClientConnectorError as error:
            raise NotSentError(plain(error)) from None
        except (ClientError, OSError, TimeoutError) as error:
            raise AmbiguousError(plain(error)) from None

    async def _look(self) -> None:
        self_id = await who_is(self, self._hub.timing.ask)
        if self_id is None:
            raise OutageError(say(zh="没有说是哪个账号", en="it does not say whose account it is"))
        self._introduce(self_id)
        self._line.works()

    def _introduce(self, self_id: str) -> None:
        if self._self_id is None:
            self._self_id = self_id
            self._hub.join(self_id, self)

    # --- events -------------------------------------------------------------------------------

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        refusal = self._refusal(request, body)
        if refusal is not None:
            return refusal
        frame = read_frame(body)
        if frame is None or isinstance(frame, ResponseFrame):
            return web.Response(status=400)
        self._introduce(frame.self_id)
        if self._self_id != frame.self_id:
            reason = say(zh="它是另一个账号", en=f"it is not account {self._self_id}")
            return self._door.refuse(request, 403, reason)
        return web.Response(status=204 if await self._is_kept(frame) else 503)

    def _refusal(self, request: web.Request, body: bytes) -> web.Response | None:
        if self._secret is None:
            if from_a_page(request):
                reason = say(zh="网页不行，除非设了 secret", en="a web page, and no secret is set")
                return self._door.refuse(request, 403, reason)
            return None
        signature = request.headers.get("X-Signature", "")
        if not signature:
            return self._door.refuse(request, 401, say(zh="没有签名", en="it is not signed"))
        if not is_signed(body, signature, self._secret):
            return self._door.refuse(request, 403, say(zh="签名不对", en="its signature is wrong"))
        return None

    async def _is_kept(self, frame: Frame) -> bool:
        """Hand a message in and wait for the disk, but not for long: the peer waits as well.

        What is not written by then is still handed in; should it be sent again, it is a
        duplicate.
        """
        if self._hub.stopped.is_set():
            return False
        done = await self._hub.take(frame) if isinstance(frame, MessageFrame) else None
        if done is None:
            return True
        await asyncio.wait((done,), timeout=self._hub.timing.ask)
        return done.done() and not done.cancelled() and done.result()


async def _answer(response: ClientResponse) -> ResponseFrame:
    """Return the answer of an API: what HTTP refuses is failed, what breaks is ambiguous."""
    if 400 <= response.status < 500:
        return ResponseFrame(status="failed", retcode=1000 + response.status)
    body = await response.content.read(LARGEST_FRAME + 1)
    frame = read_frame(body) if response.status == 200 else None
    if not isinstance(frame, ResponseFrame):
        code = response.status
        raise AmbiguousError(say(zh=f"读不懂的回音（HTTP {code}）", en=f"unreadable: HTTP {code}"))
    return frame
