"""The updates of one bot: kept until they are confirmed by an offset or taken by a webhook.

The rules of the documentation and of the public server: an offset confirms all before
it for good; a new poller ends the older one's wait with 409; a webhook and polling
exclude each other; ``allowed_updates`` is remembered and holds for later updates only; a
webhook is posted to over several connections at once, until it answers 2xx.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import aiohttp

from tests.fakes.bot_api_text import ApiError, Json, bad_request

_NOT_BY_DEFAULT = {"chat_member", "message_reaction", "message_reaction_count"}
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")


@dataclass
class Webhook:
    url: str
    secret: str = ""
    connections: int = 40
    last_error: str = ""
    free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.free = asyncio.Semaphore(self.connections)


class Updates:
    """The queue.

    Attributes:
        webhook: where updates are posted to, if anywhere.
        retry_delay: seconds until a failed delivery is tried again.
        lost_answers: so many 2xx of the webhook are lost on the way, and posted again.
    """

    def __init__(self, first_id: int = 1000) -> None:
        self.webhook: Webhook | None = None
        self.retry_delay, self.lost_answers = 0.05, 0
        self._pending: dict[int, Json] = {}
        self._next_id = first_id
        self._allowed: list[str] = []
        self._poller: asyncio.Future[None] | None = None
        self._deliveries: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> list[int]:
        """Ids that are not confirmed yet."""
        return list(self._pending)

    @property
    def allowed(self) -> list[str]:
        """Kinds that were asked for last; empty is the default."""
        return self._allowed

    @property
    def is_polled(self) -> bool:
        """Whether someone is waiting for an update now."""
        return self._poller is not None

    def add(self, kind: str, body: Any) -> int | None:
        """Queue an update; returns its id, or nothing for a kind nobody asked for."""
        wanted = kind in self._allowed if self._allowed else kind not in _NOT_BY_DEFAULT
        return self.add_raw({kind: body}) if wanted else None

    def add_raw(self, body: Json) -> int:
        """Queue what may be no proper update at all."""
        identity, self._next_id = self._next_id, self._next_id + 1
        self._pending[identity] = {"update_id": identity, **body}
        if self._poller and not self._poller.done():
            self._poller.set_result(None)
        self._start_delivery(identity)
        return identity

    def skip_ids(self, count: int) -> None:
        """Let the ids jump, as after a week without updates."""
        self._next_id += count

    async def get(self, offset: int, limit: int, timeout: float, allowed: list[str] | None) -> Any:
        """``getUpdates``."""
        if self.webhook:
            raise ApiError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )
        self._end_poll(
            "terminated by other getUpdates request; "
            "make sure that only one bot instance is running"
        )
        if allowed is not None:
            self._allowed = allowed
        self._confirm(offset)
        if not self._pending and timeout:
            await self._wait(timeout)
        wanted = (body for key, body in self._pending.items() if key >= offset)
        return list(islice(wanted, min(max(limit, 1), 100)))

    def set_webhook(self, webhook: Webhook, allowed: list[str] | None) -> None:
        """``setWebhook``."""
        if webhook.secret and not _SECRET.fullmatch(webhook.secret):
            raise bad_request("secret token contains unallowed characters")
        self._end_poll("terminated by setWebhook request")
        self.webhook = webhook
        if allowed is not None:
            self._allowed = allowed
        for identity in self._pending:
            self._start_delivery(identity)

    def forget(self) -> None:
        """``drop_pending_updates``."""
        self._pending.clear()

    async def close(self) -> None:
        """End all deliveries."""
        for task in self._deliveries:
            task.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)

    async def post(self, webhook: Webhook, update: Json) -> bool:
        """Post one update once; tells whether it was taken."""
        headers = {"X-Telegram-Bot-Api-Secret-Token": webhook.secret} if webhook.secret else {}
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.post(webhook.url, json=update, headers=headers) as answer,
            ):
                taken = 200 <= answer.status < 300
                webhook.last_error = "" if taken else f"Wrong response: {answer.status}"
        except aiohttp.ClientError as error:
            taken, webhook.last_error = False, str(error)
        if taken and self.lost_answers:
            self.lost_answers -= 1
            return False
        return taken

    def _confirm(self, offset: int) -> None:
        if offset < 0:  # counted from the end: only the last ones are kept
            last = list(self._pending)[offset:]
            offset = last[0] if last else 0
        self._pending = {key: body for key, body in self._pending.items() if key >= offset}

    async def _wait(self, timeout: float) -> None:
        poller = self._poller = asyncio.get_running_loop().create_future()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(poller, timeout)
        finally:
            if self._poller is poller:
                self._poller = None

    def _end_poll(self, why: str) -> None:
        if self._poller and not self._poller.done():
            self._poller.set_exception(ApiError(409, f"Conflict: {why}"))
            self._poller = None

    def _start_delivery(self, identity: int) -> None:
        if self.webhook:
            task = asyncio.create_task(self._deliver(self.webhook, identity))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)

    async def _deliver(self, webhook: Webhook, identity: int) -> None:
        while self.webhook is webhook and identity in self._pending:
            async with webhook.free:
                taken = await self.post(webhook, self._pending[identity])
            if taken:
                self._pending.pop(identity, None)
                return
            await asyncio.sleep(self.retry_delay)
