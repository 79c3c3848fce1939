"""A model behind the OpenAI chat API, made to speak as a persona by being told to.

An engine is ordinary code that blocks, and aiohttp is not; so the connections live in a loop
in a thread of their own, and a reply is pulled out of it piece by piece. The guard stands
around it as around a tuned model.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Sequence
from itertools import count, islice
from typing import Any, TypeVar

import aiohttp

from bot.config import Remote
from bot.engine import is_wanted
from bot.errors import EngineError
from bot.secrets import read_secret
from trainer.chat import Message
from trainer.guard import Guard
from trainer.language import say
from trainer.persona import Persona, load_persona
from trainer.sampling import Sampling

log = logging.getLogger(__name__)

T = TypeVar("T")

SILENCE = 60.0
"""Seconds without a byte after which a server is taken for dead."""

LOOK = 0.2
"""Seconds between two looks whether a reply is wanted still."""

CONNECT = 10.0
"""Seconds to reach it."""


class RemoteEngine:
    """Answers from an OpenAI-compatible server; an :class:`bot.engine.Engine`.

    Args:
        persona: who speaks; its summary is the system text, its pairs are examples.
        settings: where the server is, and how much it is shown.
        key: the API key, if it wants one.
    """

    def __init__(self, persona: Persona, settings: Remote, key: str | None = None) -> None:
        self._persona = persona
        self._settings = settings
        self._key = key
        self._opening = opening(persona, settings.examples)
        self._guard = Guard(persona, self._draw)
        self._draws = count()
        self._stopped = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote", daemon=True)
        self._thread.start()

    @property
    def persona(self) -> Persona:
        return self._persona

    @property
    def rounds(self) -> int:
        return self._settings.rounds

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        sampling = Sampling(
            temperature=self._settings.temperature,
            max_new_tokens=self._settings.max_new_tokens,
            seed=next(self._draws),
        )
        latest = messages[-(2 * self.rounds + 1) :]
        yield from self._guard.stream(latest, sampling)

    def stop(self) -> None:
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _draw(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        """Yield the reply so far, unguarded; closing it ends the request."""
        pieces = self._request(messages, sampling)
        text = ""
        try:
            while not self._stopped.is_set():
                piece = self._wait(_next(pieces, is_wanted))
                if piece is None:
                    return
                text += piece
                yield text
        finally:
            if not self._stopped.is_set():
                self._wait(pieces.aclose())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _request(
        self, messages: Sequence[Message], sampling: Sampling
    ) -> AsyncGenerator[str, None]:
        """Ask the server; yields the pieces of its reply as they come."""
        body = {
            "model": self._settings.model,
            "messages": [*self._opening, *map(_turn, messages)],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_new_tokens,
            "stream": True,
        }
        url = f"{self._settings.url.rstrip('/')}/chat/completions"
        try:
            async with self._connections().post(url, json=body) as response:
                if response.status != 200:
                    raise _refused(url, response.status, await response.text())
                async for line in response.content:
                    if piece := _piece(line):
                        yield piece
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.debug("%s: %r", url, error)
            raise _unreachable(url, error) from None

    def _connections(self) -> aiohttp.ClientSession:
        """Return the session, made in its own loop when it is first needed."""
        if self._session is None:
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_read=SILENCE)
            self._session = aiohttp.ClientSession(headers=headers, timeout=timeout)
        return self._session

    async def _close(self) -> None:
        """End what is under way, or its readers would wait for a loop that is gone."""
        requests = asyncio.all_tasks() - {asyncio.current_task()}
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        if self._session is not None:
            await self._session.close()


def load_remote(settings: Remote) -> RemoteEngine:
    """Make an engine of its settings; the server is first asked with the first message.

    Raises:
        SourceError: the persona file is wrong.
        BotConfigError: the key is missing.
    """
    key = read_secret("key", settings.key_env, settings.key_file)
    return RemoteEngine(load_persona(settings.persona), settings, key)


def opening(persona: Persona, examples: int) -> list[dict[str, str]]:
    """Return what a model is told before the talk: who it is, how it talks, and examples."""
    lines = [persona.summary]
    if persona.voice.habits:
        lines.append("\n".join(f"- {habit}" for habit in persona.voice.habits))
    turns = [{"role": "system", "content": "\n\n".join(lines)}]
    # One wording of each fact tells more than all wordings of a few.
    firsts = ((fact.ask[0], fact.answer[0]) for fact in persona.facts)
    for question, answer in islice(firsts, examples):
        turns.append({"role": "user", "content": question})
        turns.append({"role": "assistant", "content": answer})
    return turns


def _turn(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.text}


def _piece(line: bytes) -> str:
    """Return the text in one line of a stream of server-sent events.

    Raises:
        ValueError: it is a piece of something else.
    """
    if not line.startswith(b"data:"):
        return ""
    data = line.removeprefix(b"data:").strip()
    if data == b"[DONE]":
        return ""
    match json.loads(data):
        case {"error": error} if error:
            raise _ServerError(error)
        case {"choices": [{"delta": {"content": str(text)}}, *_]}:
            return text
        case dict():
            return ""
    raise ValueError("no piece of a chat completion")


async def _next(pieces: AsyncGenerator[str, None], wanted: Callable[[], bool]) -> str | None:
    """Return the next piece; None at the end, or as soon as nobody wants it any more.

    Asked here, ``wanted`` still speaks for the engine's thread, whose context came along.
    """
    piece = asyncio.ensure_future(_awaited(anext(pieces, None)))
    while not piece.done():
        await asyncio.wait((piece,), timeout=LOOK)
        if not piece.done() and not wanted():
            piece.cancel()
            await asyncio.wait((piece,))
            return None
    return piece.result()


async def _awaited(work: Awaitable[T]) -> T:
    """Await anything that can be; ``anext`` of a generator is no coroutine."""
    return await work


class _ServerError(ValueError):
    """What a server says in the middle of a stream."""

    def __init__(self, error: object) -> None:
        super().__init__(_kind(error) or say(zh="它自己出错了", en="an error of its own"))


def _kind(error: object) -> str:
    """Return the names of an error of the API, without its words: they may repeat what was said."""
    fields = error if isinstance(error, dict) else {}
    names = (fields.get(name) for name in ("type", "code"))
    return " ".join(str(name)[:60] for name in names if isinstance(name, str | int))


def _refused(url: str, status: int, body: str) -> EngineError:
    log.debug("%s answered %d: %s", url, status, body)
    try:
        kind = _kind(json.loads(body).get("error"))
    except (ValueError, AttributeError):
        kind = ""
    fixes = {
        401: say(zh="检查 key_env 或 key_file", en="check key_env or key_file"),
        404: say(zh="检查 url 和 model", en="check url and model"),
        429: say(zh="减少 limits.replies，或过一会儿再试", en="lower limits.replies, or wait"),
    }
    return EngineError(
        say(zh=f"{url} 回答了 {status} {kind}", en=f"{url} answered {status} {kind}").rstrip(),
        fix=fixes.get(status, ""),
        code="remote-refused",
    )


def _unreachable(url: str, error: Exception) -> EngineError:
    reason = str(error) or type(error).__name__
    if isinstance(error, UnicodeDecodeError | json.JSONDecodeError):  # it holds what was sent
        reason = say(zh="它发来的不是 JSON", en="it sent what is not JSON")
    return EngineError(
        say(zh=f"{url} 没有好好回答：{reason}", en=f"{url} did not answer properly: {reason}"),
        fix=say(zh="检查服务器是否在运行", en="check that the server is running"),
        code="remote-unreachable",
    )
