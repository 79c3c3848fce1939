import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.config import Remote
from bot.engine import Engine
from bot.engine.pool import EnginePool
from bot.engine.remote import RemoteEngine, load_remote, opening
from bot.errors import BotConfigError, EngineError
from bot.testing import TESTER, talking
from tests.fakes.chat_api import ChatApi, serving
from trainer.chat import Message
from trainer.persona import Persona, load_persona

GOOD = Path(__file__).parents[1] / "data" / "personas" / "good.yaml"
HELLO = (Message("user", "hi"),)
LEAKY = TESTER.model_copy(update={"leaks": ("language model",)})


@contextmanager
def engine(api: ChatApi, persona: Persona = TESTER, key: str | None = None) -> Iterator[Engine]:
    with serving(api):
        settings = Remote(url=api.url, model="m", persona=GOOD, rounds=1, examples=1)
        made = RemoteEngine(persona, settings, key)
        try:
            yield made
        finally:
            made.stop()


def test_it_streams_and_sends_persona_examples_and_history() -> None:
    api = ChatApi()
    with engine(api, key="s3cret") as remote:
        talk = [Message("user", "a"), Message("assistant", "b")] * 2 + [*HELLO]
        replies = list(remote.stream(talk))
    assert replies[-1] == "Hello there." and len(replies) > 5
    (request,) = api.requests
    assert api.keys == ["Bearer s3cret"] and request["model"] == "m" and request["stream"]
    system, *turns = request["messages"]
    assert system == {"role": "system", "content": TESTER.summary}
    assert [turn["content"] for turn in turns] == ["Who are you?", "Robin.", "a", "b", "hi"]


def test_the_opening_shows_a_wording_of_each_of_the_first_facts() -> None:
    persona = load_persona(GOOD)
    told = opening(persona, 2)
    assert [turn["role"] for turn in told] == ["system", *["user", "assistant"] * 2]
    assert told[3]["content"] == persona.facts[1].ask[0]


def test_a_reply_that_leaks_is_drawn_again() -> None:
    api = ChatApi(replies=["I am a language model.", "I am Robin."])
    with engine(api, LEAKY) as remote:
        replies = list(remote.stream(HELLO))
    assert replies[-1] == "I am Robin." and len(api.requests) == 2
    assert not any("language model" in reply for reply in replies)


@pytest.mark.parametrize(
    ("api", "told"),
    [
        (ChatApi(status=401), "401.*\n.*key_env"),
        (ChatApi(status=404), "404.*\n.*model"),
        (ChatApi(status=500, body="boom"), "answered 500"),
        (ChatApi(status=422, body='{"error": {"type": "too_long"}}'), "answered 422 too_long"),
        (ChatApi(fault="cut"), "did not answer properly"),
        (ChatApi(fault="garbage"), "did not answer properly"),
        (ChatApi(fault="error"), "properly: server_error"),
    ],
)
def test_a_server_that_fails_is_named(api: ChatApi, told: str) -> None:
    with engine(api, key="s3cret") as remote:
        with pytest.raises(EngineError, match=told) as raised:
            list(remote.stream(HELLO))
        assert "s3cret" not in str(raised.value) and api.url in str(raised.value)
        api.status, api.fault = 200, ""
        assert list(remote.stream(HELLO))[-1] == "Hello there.", "it works when it is mended"


def test_nobody_there_is_told() -> None:
    settings = Remote(url="http://127.0.0.1:1/v1", model="m", persona=GOOD)
    remote = RemoteEngine(TESTER, settings)
    with pytest.raises(EngineError, match="check that the server is running"):
        list(remote.stream(HELLO))
    remote.stop()
    remote.stop()


def test_a_reply_nobody_wants_ends_its_request() -> None:
    api = ChatApi(fault="hang")
    with engine(api) as remote:
        replies = iter(remote.stream(HELLO))
        assert next(replies) == "H"
        replies.close()  # type: ignore[attr-defined]
        assert api.ended.wait(5)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "api",
    [
        ChatApi(status=422, body='{"error": {"message": "bad: my password"}}'),
        ChatApi(status=400, body="my password"),
        ChatApi(fault="error"),
        ChatApi(fault="garbage"),
    ],
)
async def test_what_a_server_repeats_of_a_talk_is_not_logged(
    api: ChatApi, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), engine(api) as remote:
        async with talking(engines={"robin": remote}) as talk:
            assert await talk.say("my password") == ["I lost my words."]
    assert "the engine failed" in caplog.text and api.url in caplog.text
    assert "password" not in caplog.text and "no json" not in caplog.text


@pytest.mark.anyio
async def test_a_letter_cut_in_two_by_the_server_is_one_again() -> None:
    with engine(ChatApi(["Hi \ud83d\ude00"])) as remote:
        async with talking(engines={"robin": remote}) as talk:
            assert await talk.say("hi") == ["Hi 😀"]


@pytest.mark.parametrize("letters", [0, 1])
@pytest.mark.anyio
async def test_a_server_that_only_shows_signs_of_life_holds_no_thread(letters: int) -> None:
    """Past the deadline its request is over, and the only thread answers the next message."""
    api = ChatApi(fault="hang", letters=letters)
    with engine(api) as remote:
        pool = EnginePool(1, deadline=0.5)
        with pytest.raises(EngineError, match="no reply within"):
            [reply async for reply in pool.answer(remote, HELLO).stream()]
        assert await asyncio.to_thread(api.ended.wait, 5)
        api.fault = ""
        thought = pool.answer(remote, HELLO)
        assert [reply async for reply in thought.stream()][-1] == "Hello there."
        pool.close()


@pytest.mark.anyio
async def test_a_reset_ends_a_request_at_once() -> None:
    api = ChatApi(fault="hang")
    config = {"limits": {"replies": 1}}
    with engine(api) as remote:
        async with talking(Path("plugins/session.py"), engines={"r": remote}, config=config) as it:
            saying = asyncio.create_task(it.say("hi"))
            while not api.requests:
                await asyncio.sleep(0.01)
            await it.say("/reset")
            assert await asyncio.to_thread(api.ended.wait, 5)
            api.fault = ""
            assert (await it.say("hi"))[-1] == "Hello there."
            await saying


def test_stopping_ends_a_reply_under_way() -> None:
    api = ChatApi(fault="hang")
    with engine(api) as remote:
        ended = threading.Event()

        def read() -> None:
            try:
                list(remote.stream(HELLO))
            except Exception:
                ended.set()

        threading.Thread(target=read, daemon=True).start()
        while not api.requests:
            time.sleep(0.01)
        time.sleep(0.05)
        remote.stop()
        assert ended.wait(5)


def test_its_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Remote(url="http://x/v1", model="m", persona=GOOD, key_env="MY_KEY")
    with pytest.raises(BotConfigError, match="MY_KEY"):
        load_remote(settings)
    monkeypatch.setenv("MY_KEY", "k")
    remote = load_remote(settings)
    assert remote.persona == load_persona(GOOD)
    remote.stop()


@pytest.mark.anyio
async def test_a_bot_answers_from_it() -> None:
    with engine(ChatApi()) as remote:
        async with talking(engines={"robin": remote}) as talk:
            assert await talk.say("hi") == ["Hello there."]


def test_it_needs_no_torch() -> None:
    code = "import sys, bot.engine.remote, bot.runtime; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
