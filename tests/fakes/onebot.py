"""A fake OneBot v11 implementation: a QQ account whose friends and groups are played by a test.

It behaves as NapCat, Lagrange and go-cqhttp do: it numbers messages, answers actions with
their echo, executes the CQ codes of a message that is sent as a *string* and takes an array
literally. It shares no code with the adapter. :mod:`tests.fakes.onebot_links` connects it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from tests.fakes.onebot_cq import read_cq, write_cq

Mood = Literal["hang", "drop", "async", "own_timeout", "garbage", "refuse"]
"""What the next send does: it is delivered in all of them but ``refuse``."""

Deliver = Callable[[dict[str, Any]], Awaitable[None]]


class DroppedError(Exception):
    """The connection breaks after the action was done."""


class GarbageError(Exception):
    """What comes back is no answer."""


@dataclass
class Said:
    """A message of the bot's that QQ delivered."""

    chat: str
    segments: list[dict[str, Any]]
    message_id: int
    params: dict[str, Any]

    @property
    def text(self) -> str:
        """What people read."""
        return "".join(s["data"]["text"] for s in self.segments if s["type"] == "text")

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [s["data"] for s in self.segments if s["type"] == kind]


@dataclass
class QQ:
    """A QQ account logged in at the implementation.

    Attributes:
        self_id: its number.
        as_string: messages are delivered as CQ strings.
        said: what the bot said, in order.
        moods: what the next sends do, one each; then they succeed.
        calls: every action that arrived.
    """

    self_id: int = 10001
    as_string: bool = False
    said: list[Said] = field(default_factory=list)
    moods: deque[Mood] = field(default_factory=deque)
    calls: list[str] = field(default_factory=list)
    silent: bool = False
    links: list[Deliver] = field(default_factory=list)
    _messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: count(-2147480000))
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    # --- people speak -------------------------------------------------------------------------

    async def hear(
        self,
        message: str | list[dict[str, Any]],
        *,
        group: int | None = None,
        user: int = 20002,
        **fields: Any,
    ) -> int:
        """Let somebody say something; returns the message's id."""
        event = self.message(message, group=group, user=user, **fields)
        await self.emit(event)
        return int(event["message_id"])

    def message(
        self,
        message: str | list[dict[str, Any]],
        *,
        group: int | None = None,
        user: int = 20002,
        **fields: Any,
    ) -> dict[str, Any]:
        """Return the event of a message; a string means one of text."""
        segments = [text(message)] if isinstance(message, str) else message
        message_id = next(self._ids)
        kind = "private" if group is None else "group"
        sender: dict[str, Any] = {"user_id": user, "nickname": "小明", "sex": "unknown", "age": 0}
        event = {
            "time": int(time.time()),
            "self_id": self.self_id,
            "post_type": "message",
            "message_type": kind,
            "sub_type": "friend" if group is None else "normal",
            "message_id": message_id,
            "user_id": user,
            "message": write_cq(segments) if self.as_string else segments,
            "raw_message": write_cq(segments),
            "font": 0,
            "sender": sender,
        }
        if group is not None:
            sender |= {"card": "", "role": "member", "level": "1", "title": ""}
            event |= {"group_id": group, "anonymous": None}
        event |= fields
        self._messages[message_id] = event
        return event

    async def emit(self, event: dict[str, Any]) -> None:
        """Send an event on every connection that takes events; it is lost if there is none."""
        for deliver in list(self.links):
            await deliver(event)

    def lifecycle(self) -> dict[str, Any]:
        return self._meta("lifecycle", sub_type="connect")

    def heartbeat(self, interval: int, online: bool = True) -> dict[str, Any]:
        status = {"online": online, "good": True}
        return self._meta("heartbeat", interval=interval, status=status)

    def _meta(self, kind: str, **fields: Any) -> dict[str, Any]:
        head = {"time": int(time.time()), "self_id": self.self_id, "post_type": "meta_event"}
        return {**head, "meta_event_type": kind, **fields}

    # --- the bot acts -------------------------------------------------------------------------

    async def act(self, action: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do an action; returns the response without its echo."""
        self.calls.append(action)
        if self.silent:
            await asyncio.Event().wait()
        if action == "get_login_info":
            return ok({"user_id": self.self_id, "nickname": "沐雪"})
        if action == "get_msg":
            return self._get(params.get("message_id"))
        if action == "send_msg":
            kind = params.get("message_type") or ("group" if "group_id" in params else "private")
            action = f"send_{kind}_msg"
        if action in ("send_private_msg", "send_group_msg"):
            return await self._send(action, params)
        return failed(1404, "不支持的api")

    def _get(self, message_id: Any) -> dict[str, Any]:
        found = self._messages.get(message_id)
        if found is None:
            return failed(200, "消息不存在")
        told = ("time", "message_type", "message_id", "sender", "message", "raw_message")
        return ok({name: found[name] for name in told} | {"real_id": found["message_id"]})

    async def _send(self, action: str, params: dict[str, Any]) -> dict[str, Any]:
        to = params.get("group_id" if action == "send_group_msg" else "user_id")
        message = params.get("message")
        if not isinstance(to, int) or not message:
            return failed(1400, "参数错误")
        mood = self.moods.popleft() if self.moods else None
        if mood == "refuse":
            return failed(1200, "消息发送失败，可能被禁言")
        said = self._deliver(action, to, message, params)
        if mood == "hang":
            await asyncio.Event().wait()
        if mood == "drop":
            raise DroppedError
        if mood == "garbage":
            raise GarbageError
        if mood == "async":
            return {"status": "async", "retcode": 1, "data": None}
        if mood == "own_timeout":
            return failed(1200, "Timeout: NTEvent serviceAndMethod:NodeIKernelMsgService/sendMsg")
        return ok({"message_id": said.message_id})

    def _deliver(self, action: str, to: int, message: Any, params: dict[str, Any]) -> Said:
        segments = read_cq(message) if isinstance(message, str) else message
        kind = "group" if action == "send_group_msg" else "private"
        group = to if kind == "group" else None
        own = self.message(segments, group=group, user=self.self_id, post_type="message_sent")
        said = Said(f"{kind}-{to}", segments, own["message_id"], params)
        self.said.append(said)
        self._news.set()
        return said

    async def until_said(self, number: int, timeout: float = 5) -> list[Said]:
        """Wait until the bot has said so many messages."""
        async with asyncio.timeout(timeout):
            while len(self.said) < number:
                self._news.clear()
                await self._news.wait()
        return self.said


def ok(data: Any) -> dict[str, Any]:
    return {"status": "ok", "retcode": 0, "data": data, "message": "", "wording": ""}


def failed(retcode: int, wording: str) -> dict[str, Any]:
    message = {"status": "failed", "retcode": retcode, "data": None}
    return {**message, "message": wording, "wording": wording}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "data": {"text": words}}


def at(who: int | str) -> dict[str, Any]:
    return {"type": "at", "data": {"qq": str(who)}}


def reply(message_id: int) -> dict[str, Any]:
    return {"type": "reply", "data": {"id": str(message_id)}}
