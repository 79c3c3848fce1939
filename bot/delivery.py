"""Sends what the outbox holds: each message once, in the order of its session.

Before a message goes out it is noted as ``unknown``; what became of it replaces that.
Only what surely was not delivered, and may be later, is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from bot.adapter import Adapter, Capabilities
from bot.config import Delivery as Pace
from bot.errors import StoreError
from bot.event import Account, Failed, Outcome, Outgoing, Reply, Sent, Unknown
from bot.metrics import Metrics
from bot.store import Store
from bot.text import split_text, well_formed

log = logging.getLogger(__name__)

NOT_CONNECTED = 1.0
"""Seconds after which an account that no adapter has now is looked for again."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until an edit whose fate is unclear is made again; doubled each time."""

NOT_WRITTEN = 5.0
"""Seconds after which a database that could not be written is tried again."""

Told = Callable[[Outgoing, Outcome], Awaitable[None]]


class Delivery:
    """The way out.

    Args:
        adapters: all of them.
        store: whose outbox it is.
        pace: how fast it talks.
        metrics: counts outcomes.
        told: told of each message that is done with.
    """

    def __init__(
        self, adapters: Sequence[Adapter], store: Store, pace: Pace, metrics: Metrics, told: Told
    ) -> None:
        self._adapters = adapters
        self._store = store
        self._pace = pace
        self._metrics = metrics
        self._told = told

    def adapter(self, account: Account) -> Adapter | None:
        """Return the adapter that has an account now."""
        for adapter in self._adapters:
            if account in adapter.accounts:
                return adapter
        return None

    def capabilities(self, account: Account) -> Capabilities:
        """Return what an account's platform can do, whether it is connected or not."""
        connected = self.adapter(account)
        same = (one for one in self._adapters if one.platform == account.platform)
        adapter = connected or next(same, None)
        return adapter.capabilities if adapter is not None else Capabilities()

    def messages(
        self, template: Outgoing, replies: Sequence[Reply], *, to: tuple[str, str] | None = None
    ) -> list[Outgoing]:
        """Cut replies into messages that the platform takes.

        Args:
            template: its account and chat are theirs.
            replies: what is to be said.
            to: the ids of the message and of the user that are answered.
        """
        found = []
        for reply in replies:
            for index, part in enumerate(self.parts(template.account, reply.text)):
                first = index == 0 and to is not None
                found.append(
                    Outgoing(
                        "",
                        template.account,
                        template.chat,
                        part,
                        to[0] if first and to and reply.quote else None,
                        to[1] if first and to and reply.mention else None,
                    )
                )
        return found

    def parts(self, account: Account, text: str) -> list[str]:
        """Cut a text at the ends of sentences; white space at the cuts is left out."""
        able = self.capabilities(account)
        limit = min(self._pace.part, able.max_length)
        pieces = split_text(well_formed(text).strip(), limit, able.measure)
        return [piece.strip() for piece in pieces if piece.strip()]

    async def deliver(self, messages: Sequence[Outgoing], *, noted: bool = False) -> None:
        """Send messages one after the other, as fast as one who types them.

        Args:
            messages: they are in the outbox.
            noted: the first one is noted as ``unknown`` already.
        """
        for index, message in enumerate(messages):
            if index and self._pace.typing_speed:
                seconds = len(message.text) / self._pace.typing_speed
                await asyncio.sleep(min(seconds, self._pace.longest_pause))
            outcome = await self._send(message, noted=noted and not index)
            self._metrics.sent.labels(type(outcome).__name__.lower()).inc()
            await self._told(message, outcome)

    async def _send(self, message: Outgoing, *, noted: bool) -> Outcome:
        """Send a message; again while it surely was not delivered but may be later."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._pace.give_up
        if message.edits is not None:
            outcome = await self._edit(message, until)
            if not isinstance(outcome, Failed):
                self._store.sent(message, outcome)
                _log_outcome(message, outcome)
                return outcome
            message = replace(message, edits=None)  # it was deleted, or its group has moved
        while True:
            outcome = await self._once(message, noted=noted)
            noted = False
            if isinstance(outcome, Failed) and loop.time() > until:
                outcome = Failed(outcome.reason)
            self._store.sent(message, outcome)
            if not isinstance(outcome, Failed) or outcome.retry_after is None:
                _log_outcome(message, outcome)
                return outcome
            await asyncio.sleep(outcome.retry_after)

    async def _edit(self, message: Outgoing, until: float) -> Outcome:
        """Edit a message; again while that may still be done, or may not have been."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            outcome = await self._once(message, noted=True)  # it may be made twice
            if isinstance(outcome, Sent):
                return outcome
            wait = pause if isinstance(outcome, Unknown) else outcome.retry_after
            if wait is None or loop.time() > until:
                return outcome
            await asyncio.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self, message: Outgoing, *, noted: bool) -> Outcome:
        adapter = self.adapter(message.account)
        if adapter is None:
            return Failed("not connected", NOT_CONNECTED)
        if not noted:
            try:
                await self._store.sending(message)
            except StoreError as error:  # unsent, and it stays so until that can be noted
                log.error("message %s waits: %s", message.id, error)
                return Failed("not noted", NOT_WRITTEN)
            except asyncio.CancelledError:  # it may have been noted, and is surely not sent
                self._store.sent(message, Failed("stopped", 0.0))
                raise
        try:
            return await (adapter.send if message.edits is None else adapter.edit)(message)
        except Exception as error:  # it promised not to; then nobody knows what became of it
            log.exception("%s failed while it was sending", adapter.platform)
            return Unknown(type(error).__name__)


def _log_outcome(message: Outgoing, outcome: Outcome) -> None:
    key = f"{message.account}:{message.chat.id}"
    if isinstance(outcome, Sent):
        log.info("sent message %s to %s", message.id, key)
    elif isinstance(outcome, Unknown):
        log.warning(
            "message %s to %s may have been sent or not, it is not sent again: %s",
            message.id,
            key,
            outcome.reason,
        )
    else:
        log.error("message %s to %s was not sent: %s", message.id, key, outcome.reason)
