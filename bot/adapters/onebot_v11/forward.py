"""Forward WebSocket: we connect to an implementation, and come back when it went away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientWSTimeout, WSServerHandshakeError

from bot.adapter import Link
from bot.adapters.onebot_v11.calls import (
    LARGEST_FRAME,
    OutageError,
    RefusedError,
    who_is,
)
from bot.adapters.onebot_v11.config import OneBotConfig
from bot.adapters.onebot_v11.hub import Hub
from bot.adapters.onebot_v11.line import Line, pause
from bot.adapters.onebot_v11.socket import Socket
from bot.errors import AdapterError
from bot.secrets import read_secret
from trainer.language import say


class Forward:
    """The transport.

    Args:
        config: where to connect to.
        hub: who is told.
    """

    def __init__(self, config: OneBotConfig, hub: Hub) -> None:
        self._url = config.url or ""
        self._config = config
        self._hub = hub
        self._line = Line(shown(self._url), hub.timing)
        self._session: ClientSession | None = None
        self._socket: Socket | None = None
        self._served: asyncio.Task[str] | None = None

    @property
    def port(self) -> int:
        """It listens nowhere."""
        return 0

    @property
    def links(self) -> Sequence[Link]:
        """The one connection."""
        if self._socket is not None and self._line.is_up and not self._socket.is_online:
            return (Link(self._line.link.name, False, say(zh="QQ 掉线了", en="QQ is offline")),)
        return (self._line.link,)

    async def start(self) -> None:
        """Connect for the first time: a wrong token is told at once, an outage is waited for."""
        token = read_secret("token", self._config.token_env, self._config.token_file)
        self._session = ClientSession(headers=authorization(token))
        try:
            await self._connect(self._session)
        except RefusedError as error:
            raise wrong_token(self._config, str(error)) from None
        except OutageError as error:
            self._line.fails(str(error))

    async def run(self) -> None:
        """Keep connected until the adapter is stopped."""
        stopped = self._hub.stopped
        while self._session is not None and not stopped.is_set():
            try:
                if self._served is None:
                    await self._connect(self._session)
                reason = await self._until_it_ends()
                if reason is None:
                    return
                wait = self._line.fails(reason)
            except OutageError as error:
                wait = self._line.fails(str(error))
            except RefusedError as error:
                wait = self._line.fails(refused(str(error)), refused=True)
            await pause(stopped, wait)

    async def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            await self._socket.close()
        if self._served is not None:
            await asyncio.gather(self._served, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _until_it_ends(self) -> str | None:
        """Wait for the end of the connection, and return why; None if the bot is to stop.

        Then the connection stays, for the answers to what is still being said.
        """
        assert self._served is not None
        stop = asyncio.create_task(self._hub.stopped.wait())
        await asyncio.wait((self._served, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not self._served.done():
            return None
        served, self._served = self._served, None
        return served.result()

    async def _connect(self, session: ClientSession) -> None:
        """Connect, and learn whose account it is.

        Raises:
            RefusedError: our token is not accepted; NapCat says so only after accepting us.
            OutageError: it cannot be reached, or was gone at once.
        """
        timing = self._hub.timing
        try:
            async with asyncio.timeout(timing.ask):
                ws = await session.ws_connect(
                    self._url,
                    timeout=ClientWSTimeout(ws_close=timing.part),
                    heartbeat=timing.ping,
                    max_msg_size=LARGEST_FRAME,
                )
        except WSServerHandshakeError as error:
            if error.status in (401, 403):
                raise RefusedError(f"HTTP {error.status}") from None
            raise OutageError(f"HTTP {error.status}") from None
        except (ClientError, OSError, TimeoutError) as error:
            raise OutageError(plain(error)) from None
        socket = Socket(ws, self._hub)
        served = asyncio.create_task(socket.serve())
        await self._introduce(socket, served)
        self._socket, self._served = socket, served
        self._line.works()

    async def _introduce(self, socket: Socket, served: asyncio.Task[str]) -> None:
        """Ask whose account it is; a peer that says nothing useful tells by its first event."""
        try:
            self_id = await who_is(socket, self._hub.timing.ask)
        except OutageError:
            raise OutageError(await served) from None
        except RefusedError:
            await socket.close()
            await asyncio.gather(served, return_exceptions=True)
            raise
        if served.done():
            raise OutageError(served.result())
        if self_id is not None:
            socket.introduce(self_id)


def authorization(token: str | None) -> dict[str, str]:
    """Return the header that brings our token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def shown(url: str) -> str:
    """Return an address as it may be logged: a query may hold a token, as may a user name."""
    address = urlsplit(url)
    port = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{address.hostname}{port}{address.path}"


def plain(error: BaseException) -> str:
    """Say what went wrong without the address, whose query may hold a token."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, TimeoutError):
        return say(zh="没有回音", en="no answer")
    return type(error).__name__


def wrong_token(config: OneBotConfig, reason: str) -> AdapterError:
    """Return what the operator has to mend."""
    return AdapterError(
        f"{shown(config.url or '')}: {refused(reason)}",
        path=config.token_file,
        fix=say(
            zh="token_env 或 token_file 里的 token 要和实现那边配置的一样",
            en="give the token of the implementation's own settings in token_env or token_file",
        ),
        code="onebot-token",
    )


def refused(reason: str) -> str:
    """Say that our token is not accepted."""
    return say(zh=f"它不接受我们的 token（{reason}）", en=f"it refuses our token ({reason})")
