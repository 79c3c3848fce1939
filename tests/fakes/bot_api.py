"""A Telegram Bot API server of our own, for one bot, on a real socket of this machine.

It behaves as the public one does where a bot can tell: tokens, offsets, conflicts, limits,
topics, privacy mode, upgrades of groups. It acts as a server in local mode, which takes
webhooks over plain HTTP on any port. What a network can do to an answer is asked for by
:meth:`BotApi.fault`. Not here: files, keyboards, inline mode, answers inside a webhook's
response, Markdown. ``test_bot_api.py`` runs another framework through it.
"""

import asyncio
import json
from collections import defaultdict, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.fakes.bot_api_chats import Chat
from tests.fakes.bot_api_methods import BOT, Methods, Params
from tests.fakes.bot_api_text import ApiError, Json, found_entities

TOKEN = "123456789:AAFakeFakeFakeFakeFakeFakeFakeFake-_x"
ANN: Json = {"id": 501, "is_bot": False, "first_name": "Ann", "username": "ann_user"}
BEN: Json = {"id": 502, "is_bot": False, "first_name": "Ben"}


@dataclass(frozen=True)
class Call:
    """A call that arrived: when (seconds of the loop's clock), what, and with what."""

    at: float
    method: str
    params: Params


@dataclass(frozen=True)
class Fault:
    """What happens to one call.

    Attributes:
        how: ``answer`` with the status and body, ``drop`` the connection, ``hang``, or be
            ``slow``, by 0.3 seconds.
        accepted: the call takes effect before that.
        location: where a redirection leads; ``{token}`` is put in.
    """

    how: str
    accepted: bool = False
    status: int = 200
    body: bytes = b""
    location: str = ""

    @classmethod
    def refuse(cls, code: int, description: str, **parameters: int) -> Self:
        return cls("answer", status=code, body=_body(ApiError(code, description, **parameters)))


@dataclass
class BotApi:
    """The server; use it as an async context manager.

    Attributes:
        can_read_all: privacy mode is off.
        chats, updates: what it knows.
        calls: every call with the right token, in order.
        address: its base address, without a slash at the end.
    """

    can_read_all: bool = True
    calls: list[Call] = field(default_factory=list)
    address: str = ""

    def __post_init__(self) -> None:
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._stack = AsyncExitStack()
        self._methods = Methods(self.can_read_all)
        self.chats, self.updates = self._methods.chats, self._methods.updates

    async def __aenter__(self) -> Self:
        await self.listen(0)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.updates.close()
        await self.silence()

    async def listen(self, port: int) -> None:
        """Open the door, on any port if it is 0."""
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def silence(self) -> None:
        """Close the door, as in an outage; :meth:`listen` ends it."""
        await self._stack.aclose()

    # --- what a test makes happen -------------------------------------------------------------

    def fault(self, method: str, *faults: Fault) -> None:
        """Let the next calls of ``method`` meet these, one each."""
        self._faults[method.lower()].extend(faults)

    def say(
        self,
        chat: Chat,
        text: str,
        author: Json = ANN,
        *,
        reply_to: int | None = None,
        topic: int | None = None,
        **more: Any,
    ) -> Json:
        """A person writes; the bot gets an update unless its privacy mode withholds it."""
        entities = found_entities(text)
        content = {"text": text, **({"entities": entities} if entities else {}), **more}
        message = self.chats.put(chat, author, content, reply_to=reply_to, topic=topic)
        if self._may_read(chat, message):
            self.updates.add("message", message)
        return message

    def upgrade(self, group: Chat, identity: int) -> Chat:
        """A group becomes a supergroup with another id; both chats say so."""
        new = self.chats.group(identity)
        for chat, content in (
            (group, {"migrate_to_chat_id": identity}),
            (new, {"migrate_from_chat_id": group.id}),
        ):
            self.updates.add("message", self.chats.put(chat, ANN, content))
        group.upgraded_to = identity
        return new

    def sent(self, chat: Chat) -> list[str]:
        """What the bot's messages in a chat read now."""
        return [m["text"] for m in chat.messages.values() if m["from"] == BOT and "text" in m]

    def called(self, method: str) -> list[Call]:
        """The calls of one method."""
        return [call for call in self.calls if call.method == method]

    def draft(self, chat: Chat) -> str | None:
        """What a private chat sees of a message that is being written."""
        return next((text for (at, _), text in self._methods.drafts.items() if at == chat.id), None)

    def _may_read(self, chat: Chat, message: Json) -> bool:
        if chat.kind == "private" or self.can_read_all:
            return True
        answered = message.get("reply_to_message", {}).get("from", {})
        return bool(answered.get("id") == BOT["id"] or message["text"].startswith("/"))

    # --- the door -----------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != TOKEN:
            return _answer(ApiError(401, "Unauthorized"))
        method = request.match_info["method"]
        params = await _parameters(request)
        self.calls.append(Call(asyncio.get_running_loop().time(), method, params))
        faults = self._faults[method.lower()]
        fault = faults.popleft() if faults else None
        if fault and fault.how == "slow":
            await asyncio.sleep(0.3)
            return await self._run(method, params)
        if fault and not fault.accepted:
            return await _suffer(fault, request)
        answer = await self._run(method, params)
        return await _suffer(fault, request) if fault else answer

    async def _run(self, method: str, params: Params) -> web.Response:
        known = {name.lower(): name for name in vars(Methods) if not name.startswith("_")}
        if method.lower() not in known:
            return _answer(ApiError(404, "Not Found: method not found"))
        run = getattr(self._methods, known[method.lower()])
        try:
            return web.json_response({"ok": True, "result": await run(params)})
        except ApiError as error:
            return _answer(error)


async def _parameters(request: web.Request) -> Params:
    """Query, form and JSON; what is JSON inside a form is read too, as the server does."""
    if request.content_type == "application/json":
        return {**request.query, **await request.json()}
    params: Params = {**request.query, **await request.post()}
    for name in ("allowed_updates", "reply_parameters", "entities"):
        if isinstance(params.get(name), str):
            params[name] = json.loads(params[name])
    return params


async def _suffer(fault: Fault, request: web.Request) -> web.StreamResponse:
    if fault.how == "hang":
        await asyncio.Event().wait()  # until the other side gives up
    if fault.how == "drop" and request.transport:
        request.transport.abort()
    headers = {"Location": fault.location.format(token=TOKEN)} if fault.location else {}
    return web.Response(
        status=fault.status, body=fault.body, headers=headers, content_type="application/json"
    )


def _body(error: ApiError) -> bytes:
    said = {"ok": False, "error_code": error.code, "description": error.description}
    parameters = {"parameters": error.parameters} if error.parameters else {}
    return json.dumps({**said, **parameters}).encode()


def _answer(error: ApiError) -> web.Response:
    return web.Response(
        status=error.code, body=_body(error), content_type="application/json", charset="utf-8"
    )
