"""More than ten thousand damaged frames over a real socket: never a crash, never a stuck line."""

import asyncio
import json
import logging
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.adapters.onebot_v11.adapter import OneBotV11
from bot.adapters.onebot_v11.incoming import read_message
from bot.adapters.onebot_v11.wire import MessageFrame, read_frame
from bot.event import Failed, Sent, Unknown
from tests.bot.adapters.onebot_v11.conftest import Inbox, address, outgoing, running
from tests.fakes.onebot import QQ, at, reply, text
from tests.fakes.onebot_links import Connection, connected

FRAMES, LOOK_EVERY = 10_500, 40

_QQ = QQ()
GOOD: list[dict[str, Any]] = [
    _QQ.lifecycle(),
    _QQ.heartbeat(50_000),
    _QQ.message("嗨", group=1),
    _QQ.message([reply(-1), at(10001), text("[CQ:at,qq=10001]")], group=2),
    _QQ.message([{"type": "image", "data": None}], user=3),
    QQ(as_string=True).message([reply(7), at("all"), text("&#91;")], group=4),
    {"status": "ok", "retcode": 0, "data": {"message_id": 1}, "echo": "1"},
    {"status": "failed", "retcode": 1200, "data": None, "echo": "2"},
]
NUMBERS = (0, -1, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf"))
WORDS = ("", "\x00", "all", "\ud800", "10001", "1401", "[CQ:", "[CQ:at,qq=10001]", "x" * 5000)
SHAPES = ([], {}, [[]], [None], {"type": "text"}, [{"type": 7}], [{"type": "text", "data": "x"}])
NASTY: st.SearchStrategy[Any] = st.sampled_from([None, True, *NUMBERS, *WORDS, *SHAPES])
LEAVES = NASTY | st.integers() | st.text(max_size=6) | st.lists(st.integers(), max_size=3)
KEYS = st.sampled_from(sorted({key for frame in GOOD for key in frame}))
CHANGES = st.lists(st.tuples(KEYS, LEAVES), min_size=1, max_size=3)
WHOLE = st.sampled_from(GOOD)
DAMAGED = st.builds(
    lambda frame, number, changes: {**frame, "message_id": number, **dict(changes)},
    WHOLE,
    st.integers(-(2**31), 2**31 - 1),
    CHANGES,
)
CUT = st.builds(lambda frame, end: json.dumps(frame)[:end], WHOLE, st.integers(0, 400))
WHOLLY_WRONG = st.text(max_size=12) | st.binary(max_size=12)
FRAME = st.one_of(*[DAMAGED.map(json.dumps)] * 4, CUT, WHOLLY_WRONG)


class Line:
    """A bot and its peer, who comes back when the bot has ended the connection."""

    def __init__(self) -> None:
        self.qq, self.inbox = QQ(), Inbox()
        self.stack = AsyncExitStack()
        self.frames = 0
        self.outcomes: set[type] = set()
        self.bot: OneBotV11
        self.peer: Connection | None = None

    async def open(self) -> None:
        self.bot = await self.stack.enter_async_context(running(self.inbox))

    async def connection(self) -> Connection:
        if self.peer is None or self.peer.ws.closed:
            self.peer = await self.stack.enter_async_context(connected(self.qq, address(self.bot)))
        return self.peer

    async def throw(self, frame: str | bytes) -> None:
        ws = (await self.connection()).ws
        self.frames += 1
        with suppress(ConnectionError):  # the frame before may just have ended it
            if isinstance(frame, str):
                await ws.send_str(frame.encode("utf-8", "replace").decode())
            else:
                await ws.send_bytes(frame)
        if self.frames % LOOK_EVERY == 0:
            await self.is_alive()

    async def is_alive(self) -> None:
        """A message gets in and a reply gets out, on this connection or on a new one."""
        marker = f"还在吗 {self.frames}"
        async with asyncio.timeout(10):
            while marker not in self.inbox.texts[-100:]:
                ws = (await self.connection()).ws
                try:
                    await ws.send_json(self.qq.message(marker, group=5))
                except ConnectionError:
                    continue
                await asyncio.sleep(0.002)
        outcome = await self.bot.send(outgoing("在"))
        assert isinstance(outcome, Sent | Unknown | Failed)
        self.outcomes.add(type(outcome))


def test_no_frame_breaks_a_connection_for_good(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="bot")
    line = Line()
    with asyncio.Runner() as runner:
        runner.run(line.open())

        @settings(max_examples=FRAMES, deadline=None, database=None)
        @given(FRAME)
        def throw(frame: str | bytes) -> None:
            runner.run(line.throw(frame))

        throw()
        runner.run(line.stack.aclose())
    assert line.frames >= 10_000
    assert Sent in line.outcomes and len(line.inbox.events) > 500
    assert not caplog.records, caplog.text


@settings(max_examples=300, deadline=None)
@given(FRAME)
def test_what_is_read_can_be_stored(frame: str | bytes) -> None:
    found = read_frame(frame)
    event = read_message(found) if isinstance(found, MessageFrame) else None
    if event is not None:
        parts = (*event.dedupe_key, event.text, event.sender.id, event.sender.name)
        assert "".join(parts).encode() and event.time > 0
