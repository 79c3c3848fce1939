"""Calling an implementation, and what its answer says about a message that was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from bot.adapters.onebot_v11.wire import ResponseFrame
from bot.event import Failed, Outcome, Sent, Unknown

LARGEST_FRAME = 4 * 2**20
"""Bytes of one frame or body; a longer one ends its connection, an event is far shorter."""

_ASYNC = 1


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of everything that waits.

    Attributes:
        call: until a call that sends is given up; its fate is then unknown.
        ask: until a question that can be done without is given up.
        ping: between WebSocket pings; a peer that answers none is gone.
        part: until a connection that is being closed is cut.
        again: until an event that could not be written is handed in again.
        watch: between two looks at an HTTP API.
        first: to wait after one failure to connect; it doubles with each further one.
        longest: to wait after many, or after a refusal.
    """

    call: float = 30.0
    ask: float = 5.0
    ping: float = 20.0
    part: float = 2.0
    again: float = 1.0
    watch: float = 30.0
    first: float = 1.0
    longest: float = 60.0


class NotSentError(Exception):
    """The call surely never left."""


class AmbiguousError(Exception):
    """The call left, and nobody knows what became of it."""


class RefusedError(Exception):
    """The implementation does not accept our token."""


class OutageError(Exception):
    """The implementation cannot be reached now."""


class Caller(Protocol):
    """A connection that calls can be made on."""

    async def call(self, action: str, params: dict[str, Any], timeout: float) -> ResponseFrame:
        """Make a call; returns its answer, of whatever content.

        Raises:
            NotSentError: it surely never left.
            AmbiguousError: it left, and no answer came within ``timeout`` seconds.
        """


async def send(
    caller: Caller, action: str, params: dict[str, Any], *, timeout: float, later: float
) -> Outcome:
    """Make a call that sends a message, once.

    Args:
        caller: the connection.
        action: ``send_group_msg`` or ``send_private_msg``.
        params: its parameters.
        timeout: seconds until its fate is unknown.
        later: seconds until it may be tried again, if it never left.
    """
    try:
        return outcome_of(await caller.call(action, params, timeout))
    except NotSentError as error:
        return Failed(str(error), retry_after=later)
    except AmbiguousError as error:
        return Unknown(str(error))


def outcome_of(response: ResponseFrame) -> Outcome:
    """Return what an answer says about a message.

    Implementations also report their *own* time-outs as failures (NapCat: retcode 1200,
    "Timeout: …"), and what they waited for was often delivered.
    """
    if response.status == "async" or response.retcode == _ASYNC:
        return Unknown("async")
    if response.retcode == 0 and response.status != "failed":
        data = response.data if isinstance(response.data, dict) else {}
        message_id = data.get("message_id")
        return Sent("" if message_id is None else str(message_id))
    if "timeout" in response.reason.lower() or "超时" in response.reason:
        return Unknown(response.reason)
    return Failed(response.reason)


async def who_is(caller: Caller, timeout: float) -> str | None:
    """Ask which account it is; None if no usable answer comes.

    Raises:
        RefusedError: it does not accept our token.
        OutageError: the connection is gone.
    """
    try:
        response = await caller.call("get_login_info", {}, timeout)
    except NotSentError as error:
        raise OutageError(str(error)) from None
    except AmbiguousError:
        return None
    if response.retcode in (1401, 1403):
        raise RefusedError(response.reason)
    data = response.data if isinstance(response.data, dict) else {}
    return str(data["user_id"]) if data.get("user_id") else None


async def wrote(caller: Caller, message_id: str, timeout: float) -> str | None:
    """Ask who wrote a message; None if no usable answer comes."""
    number: int | str = int(message_id) if message_id.lstrip("-").isdecimal() else message_id
    try:
        response = await caller.call("get_msg", {"message_id": number}, timeout)
    except (NotSentError, AmbiguousError):
        return None
    data = response.data if isinstance(response.data, dict) else {}
    sender = data.get("sender")
    user = sender.get("user_id") if isinstance(sender, dict) else None
    return str(user) if user else None
