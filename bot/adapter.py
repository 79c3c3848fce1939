"""The contract between the bot and a platform.

The bot promises that an event handed in is durable before the adapter tells the platform
so; the adapter promises that a message whose fate is unclear is never said to have failed.
On these two rests that nothing is lost and nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.event import Account, Chat, Event, Outcome, Outgoing


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform can do.

    Attributes:
        max_length: most of one message, in the unit of ``measure``; at least 2.
        measure: the size of a text in the platform's unit, see :func:`bot.text.split_text`.
        can_type: :meth:`Adapter.show_typing` shows something.
        draft_every: seconds between two of :meth:`Adapter.draft` in a private chat; None if it
            has no drafts.
        edit_every: seconds between two of :meth:`Adapter.edit` in a chat; None if it cannot.
    """

    max_length: int = 4096
    measure: Callable[[str], int] = len
    can_type: bool = False
    draft_every: float | None = None
    edit_every: float | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One connection to a platform, as ``/healthz`` and the ``status`` command show it.

    Attributes:
        name: what it connects, for people: an account or an address.
        up: it can receive and send now.
        detail: why not; without secrets.
        since: Unix seconds since when it is up; 0 if it is not, or nobody noted when.
    """

    name: str
    up: bool
    detail: str = ""
    since: float = 0.0


class Inlet(Protocol):
    """Where an adapter hands in what it receives; the bot's side of the contract."""

    async def receive(self, event: Event) -> bool:
        """Take an event; returns once it is committed to disk, never waiting for a reply.

        Only then may the adapter acknowledge it upstream.

        Returns:
            Whether it is new. A duplicate (False) is on disk already: acknowledge it as well.

        Raises:
            StoreError: it could not be written: do not acknowledge it; the platform will send
                it again, or the adapter hands it in again after a while.
        """

    async def move_chat(self, account: Account, old: str, new: str) -> None:
        """Give the sessions of chat ``old`` to chat ``new`` (a group that was upgraded).

        Raises:
            StoreError: it could not be written.
        """


class Adapter(Protocol):
    """A platform. Made as ``Adapter(config, inlet)``, which neither connects nor reads secrets.

    The order of calls is ``start``, ``run``, ``stop`` (``run`` then returns), ``close``;
    ``send``, ``edit``, ``draft`` and ``show_typing`` may be called from ``start`` until
    ``close``, and for several chats at once.
    """

    @property
    def platform(self) -> str:
        """Its name in ``ADAPTERS``, and :attr:`bot.event.Account.platform` of its events."""

    @property
    def accounts(self) -> Sequence[Account]:
        """The accounts it can send from now; one it does not list is not its own."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def links(self) -> Sequence[Link]:
        """How its connections are now."""

    async def start(self) -> None:
        """Read the secrets, bind sockets, check the credentials; returns when it is ready.

        Raises:
            AdapterError: what the operator must mend: a missing secret, a wrong token, a
                port in use, a public address without a token. A platform that cannot be
                reached now is no such error: ``run`` keeps trying.
        """

    async def run(self) -> None:
        """Receive until :meth:`stop`; says when a connection fails and when it recovers."""

    async def stop(self) -> None:
        """Receive nothing more; what is being said still gets out."""

    async def close(self) -> None:
        """End every connection; may be called twice, and after a failed ``start``."""

    async def send(self, message: Outgoing) -> Outcome:
        """Send a message, once; never raises for what a network or a platform does.

        Waiting where the platform says "later" is the adapter's own; being not connected is
        ``Failed`` with ``retry_after``.
        """

    async def edit(self, message: Outgoing) -> Outcome:
        """Let the message that ``message.edits`` names read as ``message`` does.

        That may be done twice, so an unclear one may be repeated. ``Failed`` without
        ``retry_after`` says that there is no such message any more. Only called with the
        id of a :class:`bot.event.Sent`, where there is an ``edit_every``.
        """

    async def draft(self, message: Outgoing) -> Outcome:
        """Show how far a reply has grown, in a way that does not stay.

        The drafts of a reply share an id, and the next :meth:`send` to the chat ends them.
        The text mostly grows, but may begin anew. Only called where there is a
        ``draft_every``.
        """

    async def show_typing(self, account: Account, chat: Chat) -> None:
        """Show once that the bot is typing; called every four seconds while it thinks.

        Only called where ``can_type``. Never raises for what a network does.
        """
