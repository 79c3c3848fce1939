"""A OneBot v11 implementation that only asks and takes the time: the load of :mod:`.bot`.

It connects by reverse WebSocket as NapCat does, sends private messages of many users, and
answers every ``send_private_msg`` at once. A message's time runs from when its frame is
written to when the frame of its reply is read.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import aiohttp

ACCOUNT = 10001
PATIENCE = 30.0
"""Seconds for a bot to start, and for all replies to come."""


@dataclass(frozen=True)
class Pace:
    """What came of one load.

    Attributes:
        rate: messages a second, from the first frame in to the last frame out.
        p50, p99: milliseconds from frame in to frame out.
    """

    rate: float
    p50: float
    p99: float


class Load:
    """The load on one connection, see :func:`connected`."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._numbers = count(1)
        self._replies: dict[str, asyncio.Future[float]] = {}
        self._reader = asyncio.create_task(self._read())

    async def run(self, users: Sequence[int], in_flight: int) -> Pace:
        """Have each of ``users`` say something in turn, with so many unanswered at a time."""
        room = asyncio.Semaphore(in_flight)
        begun = time.perf_counter()
        async with asyncio.timeout(PATIENCE + len(users) / 50), asyncio.TaskGroup() as group:
            tasks = []
            for user in users:
                await room.acquire()
                tasks.append(group.create_task(self._ask(user, room)))
        seconds = time.perf_counter() - begun
        times = sorted(task.result() * 1000 for task in tasks)
        return Pace(len(times) / seconds, times[len(times) // 2], times[len(times) * 99 // 100])

    async def close(self) -> None:
        """End the connection.

        Raises:
            RuntimeError: a reply came that nobody waited for: twice, or to no message.
        """
        await self._ws.close()
        await self._reader

    async def _ask(self, user: int, room: asyncio.Semaphore) -> float:
        """Say something and return the seconds until the reply."""
        number = next(self._numbers)
        text = f"第 {number} 句话，今天天气怎么样？"
        reply: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._replies[text] = reply
        frame = json.dumps(_message(number, user, text), ensure_ascii=False)
        sent = time.perf_counter()
        await self._ws.send_str(frame)
        seconds = await reply - sent
        room.release()
        return seconds

    async def _read(self) -> None:
        async for message in self._ws:
            now = time.perf_counter()
            call = json.loads(message.data)
            text = "".join(part["data"]["text"] for part in call["params"]["message"])
            if text not in self._replies:
                raise RuntimeError(f"not asked, or answered before: {text}")
            self._replies.pop(text).set_result(now)
            answer = {"status": "ok", "retcode": 0, "data": {"message_id": next(self._numbers)}}
            await self._ws.send_json({**answer, "echo": call["echo"]})


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Load]:
    """Connect to a bot as soon as it listens."""
    url = f"ws://127.0.0.1:{port}/onebot/v11/ws"
    headers = {"X-Self-ID": str(ACCOUNT), "X-Client-Role": "Universal"}
    async with aiohttp.ClientSession(headers=headers) as session:
        load = Load(await _connect(session, url))
        try:
            yield load
        finally:
            await load.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _connect(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await session.ws_connect(url)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)


def _message(number: int, user: int, text: str) -> dict[str, Any]:
    return {
        "time": int(time.time()),
        "self_id": ACCOUNT,
        "post_type": "message",
        "message_type": "private",
        "sub_type": "friend",
        "message_id": number,
        "user_id": user,
        "message": [{"type": "text", "data": {"text": text}}],
        "raw_message": text,
        "font": 0,
        "sender": {"user_id": user, "nickname": "小明", "sex": "unknown", "age": 0},
    }
