"""The one place that calls the Bot API; every failure leaves it as one of a few kinds.

What matters about a failed call is whether it may have taken effect: a message that was
perhaps sent is never sent again. aiogram tells that by its causes only, and its texts may
hold the address that was called, which holds the token; both are dealt with here.
"""

from __future__ import annotations

from typing import Any, TypeVar

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramConflictError,
    TelegramEntityTooLarge,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.methods import TelegramMethod
from aiohttp import ClientConnectorError, ConnectionTimeoutError
from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

Result = TypeVar("Result")


class CallError(Exception):
    """A call that failed; the text is for a log and holds no secret."""


class RefusedError(CallError):
    """The server says no; the call had no effect."""


class BadTokenError(RefusedError):
    """The server does not know the token."""


class ConflictError(RefusedError):
    """Someone else fetches the updates of this bot, or a webhook takes them."""


class LaterError(RefusedError):
    """The server asks to come back in ``seconds``."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class MovedError(RefusedError):
    """The group has become a supergroup, ``chat``."""

    def __init__(self, reason: str, chat: str) -> None:
        super().__init__(reason)
        self.chat = chat


class NoConnectionError(CallError):
    """There was no connection; the call had no effect."""


class UnclearError(CallError):
    """No answer, or none that makes sense: the call may have had its effect."""


class Client:
    """Calls the Bot API for one bot.

    Args:
        token: the bot's token, of the right form.
        api_url: address of the server.
        timeout: seconds until an answer is given up.
        proxy: address of a proxy to go through.
    """

    def __init__(self, token: str, api_url: str, timeout: int, proxy: str | None = None) -> None:
        server = TelegramAPIServer.from_base(api_url)
        self._bot = Bot(token, session=AiohttpSession(proxy, api=server))
        self._timeout = timeout

    @property
    def id(self) -> int:
        """The bot's own id, which its token begins with."""
        return self._bot.id

    async def call(self, method: TelegramMethod[Result], *, wait: int = 0) -> Result:
        """Call a method, once.

        Args:
            method: what to call.
            wait: seconds that the server itself may wait before it answers.

        Raises:
            CallError: it failed; see its kinds.
        """
        try:
            return await self._bot(method, request_timeout=self._timeout + wait)
        # Whatever comes back from a network (no JSON, no UTF-8, no known type) ends here.
        except Exception as error:
            failure = _kind(error, self._without_token(_reason(error)))
        raise failure  # outside, so that it drags along no context that names the address

    async def close(self) -> None:
        """End the connections."""
        await self._bot.session.close()

    def _without_token(self, text: str) -> str:
        return text.replace(self._bot.token.partition(":")[2], "***")


def _reason(error: Exception) -> str:
    """Return the first line of what it says; never the content of an answer."""
    if isinstance(error, TelegramAPIError | ClientDecodeError):
        said: Any = error.message  # None where the server gave no description
        return str(said or type(error).__name__).partition("\n")[0]
    return type(error).__name__


def _kind(error: Exception, reason: str) -> CallError:
    match error:
        case TelegramRetryAfter():
            return LaterError(reason, error.retry_after)
        case TelegramMigrateToChat():
            return MovedError(reason, str(error.migrate_to_chat_id))
        case TelegramUnauthorizedError() | TelegramNotFound():
            return BadTokenError(reason)
        case TelegramConflictError():
            return ConflictError(reason)
        case ProxyError() | ProxyConnectionError():
            return NoConnectionError(reason)
        case TelegramNetworkError() if not isinstance(error, TelegramEntityTooLarge):
            return _without_answer(error, reason)
        case TelegramAPIError() if not isinstance(error, TelegramServerError):
            return RefusedError(reason)
        case _:
            return UnclearError(reason)


def _without_answer(error: TelegramNetworkError, reason: str) -> CallError:
    """Tell a connection that was never made from one that broke."""
    before = ClientConnectorError | ConnectionTimeoutError | ProxyTimeoutError
    return (NoConnectionError if isinstance(error.__cause__, before) else UnclearError)(reason)
