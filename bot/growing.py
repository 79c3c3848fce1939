"""Shows a reply while it grows, on a platform that can.

In a private chat a draft shows it: nothing of a draft stays, so a bot that is killed answers
afresh. Elsewhere a message is sent once the reply takes longer, and edited. That message
stays, so it is written down, and a bot that is killed goes on with it after its next start.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from bot.adapter import Adapter
from bot.delivery import Delivery
from bot.errors import StoreError
from bot.event import Failed, Outcome, Sent, successor
from bot.handling import Handling
from bot.store import Store

log = logging.getLogger(__name__)


class Growing:
    """One reply.

    Args:
        store: where its message is written down.
        delivery: what can show it.
        handling: what it answers.
        wanted: it is to be shown at all.

    Attributes:
        message: the message that shows it, and that the whole reply has to take the place of.
        seen: how much of it was shown; it may have been said before the model thought better.
    """

    def __init__(self, store: Store, delivery: Delivery, handling: Handling, wanted: bool) -> None:
        self._store = store
        self._delivery = delivery
        self._handling = handling
        self._adapter: Adapter | None = None
        self._pause: float | None = None
        self._is_draft = False
        if wanted:
            self._adapter = delivery.adapter(handling.event.account)
        if self._adapter is not None:
            able = self._adapter.capabilities
            is_private = handling.event.chat.kind == "private"
            self._is_draft = is_private and able.draft_every is not None
            self._pause = able.draft_every if self._is_draft else able.edit_every
        self.message = handling.shown
        self.seen = handling.shown.text if handling.shown else ""
        self._text = ""
        self._showing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        # A short reply is said whole, without having been edited.
        self._due = _now() + (0.0 if self._is_draft else self._pause or 0.0)

    def show(self, text: str) -> None:
        """Show how far it is, once its time has come; returns at once."""
        self._text = text
        if self._showing is None and self._timer is None:
            self._go_on()

    async def end(self) -> None:
        """Show no more; returns when nothing can come after the whole reply."""
        self._pause = None
        if self._timer is not None:
            self._timer.cancel()
        if self._showing is None:
            return
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # the bot stops, and waits for no network
            self._showing.cancel()
        try:
            await asyncio.wait((self._showing,))
        except asyncio.CancelledError:  # it stops meanwhile
            self._showing.cancel()
            await asyncio.wait((self._showing,))
            raise

    def _go_on(self) -> None:
        """Show what has come since, now or when it is due."""
        self._timer = self._showing = None
        if self._pause is None:
            return
        if (wait := self._due - _now()) > 0:
            self._timer = asyncio.get_running_loop().call_later(wait, self._go_on)
            return
        part = next(iter(self._delivery.parts(self._handling.event.account, self._text)), "")
        if part and part != self.seen:
            self._showing = asyncio.create_task(self._show(part))

    async def _show(self, part: str) -> None:
        try:
            outcome = await self._shown(part)
        except StoreError as error:  # the whole reply will wait until it can be written
            log.error("the reply is not shown while it grows: %s", error)
            self._pause = None
        except Exception:  # an adapter promised not to; the reply must not fail for it
            log.exception("the reply is not shown while it grows")
            self._pause = None
        else:
            self._take(outcome, part)
        self._go_on()

    def _take(self, outcome: Outcome, part: str) -> None:
        wait = self._pause or 0.0
        if isinstance(outcome, Sent):
            self.seen = part
        if isinstance(outcome, Failed) and outcome.retry_after is not None:
            wait = outcome.retry_after
        elif isinstance(outcome, Failed):  # it would fail again; the whole reply is sent anew
            self._pause = None
        elif self.message is None and not self._is_draft:
            # A first message that perhaps stands there cannot be edited; no second one, then.
            self._pause = None
        self._due = _now() + wait

    async def _shown(self, part: str) -> Outcome:
        adapter = self._adapter
        if adapter is None:
            raise AssertionError("show() asks only an adapter that can")
        event = self._handling.event
        if self._is_draft:
            return await adapter.draft(
                replace(
                    self._handling.message, id=f"draft {self._handling.events[0].id}", text=part
                )
            )
        if self.message is not None:
            return await adapter.edit(replace(self.message, text=part))
        quoted = event.message_id if event.chat.kind == "group" else None
        first = replace(self._handling.message, text=part, reply_to=quoted)
        begun = await self._store.begin(self._handling.events, first)
        outcome = await adapter.send(begun)
        self.message = successor(begun, outcome)
        await self._store.begun(begun, outcome)
        return outcome


def _now() -> float:
    return asyncio.get_running_loop().time()
