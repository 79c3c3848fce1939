"""The port that implementations come to, and who is let in.

Whoever gets in can speak for any user. Secrets are compared in constant time, and an
intruder who tries all night fills no log: a refusal is said once for each address.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from bot.adapters.onebot_v11.calls import LARGEST_FRAME
from bot.errors import AdapterError
from bot.listening import listen
from trainer.language import say

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

REMEMBERED = 256

_log = logging.getLogger(__name__)


def token_of(request: web.Request) -> str:
    """Return the access token that a request brings, empty if it brings none.

    Go-cqhttp writes ``Token`` for ``Bearer``; NapCat sends ``Bearer`` with nothing behind it.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token") and token.strip():
        return token.strip()
    return request.query.get("access_token", "")


def is_same(given: str, wanted: str) -> bool:
    """Compare two secrets in a time that tells neither where they differ nor how long they are."""
    return hmac.compare_digest(_digest(given), _digest(wanted))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Tell whether ``X-Signature`` is that of the raw body."""
    digest = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    return is_same(signature, f"sha1={digest}")


class Door:
    """A listening socket with one path.

    Args:
        host, port, path: where.
        handler: who answers those that are let in.
    """

    def __init__(self, host: str, port: int, path: str, handler: Handler) -> None:
        self._host, self._port, self._path = host, port, path
        self._handler = handler
        self._refused: OrderedDict[tuple[str | None, str], None] = OrderedDict()
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on; the one asked for until it does."""
        addresses = self._runner.addresses if self._runner else []
        return int(addresses[0][1]) if addresses else self._port

    async def open(self) -> None:
        """Listen.

        Raises:
            AdapterError: the address cannot be listened on.
        """
        app = web.Application(client_max_size=LARGEST_FRAME)
        app.router.add_route("*", "/{anywhere:.*}", self._answer)
        self._runner = await listen(
            app, self._host, self._port, self._cannot_listen, shutdown_timeout=1
        )

    def _cannot_listen(self, error: OSError) -> AdapterError:
        return AdapterError(
            say(
                zh=f"不能在 {self._host}:{self._port} 上监听：{error.strerror}",
                en=f"cannot listen on {self._host}:{self._port}: {error.strerror}",
            ),
            fix=say(
                zh="换一个 host 或 port，或者关掉占着它的程序",
                en="choose another host or port, or end the program that has it",
            ),
            code="onebot-listen",
        )

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Answer at our path, with a slash at its end or not; elsewhere say where it is."""
        if request.path.rstrip("/") == self._path.rstrip("/"):
            return await self._handler(request)
        problem = say(
            zh=f"路径不是 {self._path}", en=f"it asked for another path than {self._path}"
        )
        return self.refuse(request, 404, problem)

    def refuse(self, request: web.Request, status: int, reason: str) -> web.Response:
        """Turn a request away, without telling it why."""
        key = (request.remote, reason)
        if key not in self._refused:
            self._refused[key] = None
            _log.warning(
                say(
                    zh=f"拒绝了来自 {request.remote} 的连接：{reason}（只说这一次）",
                    en=f"refused a connection from {request.remote}: {reason} (said once)",
                )
            )
        if len(self._refused) > REMEMBERED:
            self._refused.popitem(last=False)
        return web.Response(status=status)


def from_a_page(request: web.Request) -> bool:
    """Tell whether a web page sent it: a browser always says so, an implementation never does.

    Any page that is open on this machine could otherwise reach a port that has no token.
    """
    return "Origin" in request.headers
