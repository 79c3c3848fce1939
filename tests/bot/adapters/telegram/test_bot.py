"""The whole bot on Telegram: the real store, sessions and adapter over real sockets."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.adapters.telegram.adapter import Telegram
from bot.cast import Player
from bot.config import BotConfig
from bot.engine import Engine
from bot.runtime import Runtime
from bot.store import Store
from bot.testing import ScriptedEngine
from tests.bot.adapters.telegram.conftest import TIMING, settings, until
from tests.fakes.bot_api import BEN, BotApi, Fault
from trainer.chat import Message

pytestmark = pytest.mark.anyio


class Thinking(ScriptedEngine):
    """Blocks its thread, as a model does, over anything that says "think"."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        for reply in super().stream(messages):
            if "think" in reply:
                self.go.wait(20)
            yield reply


class Growing(ScriptedEngine):
    """Says a long reply word by word."""

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        said = ""
        for word in range(20):
            time.sleep(0.02)
            said += f"{word} "
            yield said


@asynccontextmanager
async def bot(api: BotApi, engine: Engine, folder: Path, **more: object) -> AsyncIterator[Runtime]:
    config = BotConfig.model_validate(
        {
            "personas": {"robin": {"echo": {"persona": "unused.yaml"}}},
            "adapters": {"telegram": [settings(api)]},
            "limits": {"per_user": 1000, "overall": 10_000},
            "delivery": {"typing_speed": 0},
            **more,
        }
    )
    runtime = Runtime(
        config,
        None,
        Store(folder / "bot.db"),
        {"robin": Player("robin", engine)},
        lambda own: [Telegram(settings(api), own, TIMING)],
        lambda _config: [],
    )
    run = asyncio.create_task(runtime.run())
    try:
        yield runtime
    finally:
        runtime.stop()
        await asyncio.wait_for(run, 10)


async def test_what_is_meant_for_it_is_answered(api: BotApi, tmp_path: Path) -> None:
    ann, group = api.chats.private(501), api.chats.group(-77)
    async with bot(api, ScriptedEngine(), tmp_path):
        for chat, text in ((ann, "one"), (group, "two"), (group, "😀 @Snow_Bot three")):
            api.say(chat, text)
        api.say(group, "Robin, four", BEN)
        await until(lambda: len(api.sent(group)) == 2 and api.sent(ann))
        ours = next(m for m in group.messages.values() if m["from"]["is_bot"])
        api.say(group, "five", BEN, reply_to=ours["message_id"])
        await until(lambda: len(api.sent(group)) == 3)
    assert api.sent(ann) == ["one"]
    assert api.sent(group) == ["😀 three", "Robin, four", "five"]
    assert ours["reply_to_message"]["text"] == "😀 @Snow_Bot three"


async def test_a_model_that_thinks_stalls_neither_polling_nor_others(
    api: BotApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.pipeline.TYPING", 0.1)
    engine = Thinking()
    ann, ben = api.chats.private(501), api.chats.private(502)
    async with bot(api, engine, tmp_path):
        api.say(ann, "think")
        await until(lambda: engine.prompts)
        for index in range(20):
            api.say(ben, f"{index}", BEN)
        await until(lambda: len(api.sent(ben)) == 20 and not api.updates.pending)
        typing = [c for c in api.called("sendChatAction") if c.params["chat_id"] == "501"]
        await until(
            lambda: (
                len([c for c in api.called("sendChatAction") if c.params["chat_id"] == "501"])
                > len(typing) + 2
            )
        )
        assert not api.sent(ann)
        engine.go.set()
        await until(lambda: api.sent(ann) == ["think"])
    assert api.sent(ben) == [f"{index}" for index in range(20)]


async def test_replies_grow_in_private_and_in_groups(api: BotApi, tmp_path: Path) -> None:
    ann, group = api.chats.private(501), api.chats.group(-77)
    whole = " ".join(f"{word}" for word in range(20))
    async with bot(api, Growing(), tmp_path):
        api.say(ann, "hi")
        api.say(group, "@Snow_Bot hi")
        await until(lambda: api.draft(ann))
        await until(lambda: api.sent(ann) == [whole] and api.sent(group) == [whole])
    assert api.draft(ann) is None
    assert len(api.called("sendMessage")) == 2 and len(api.called("editMessageText")) >= 2


async def test_the_history_of_an_upgraded_group_goes_with_it(api: BotApi, tmp_path: Path) -> None:
    engine = ScriptedEngine()
    group = api.chats.group(-77)
    async with bot(api, engine, tmp_path):
        api.say(group, "@Snow_Bot before")
        await until(lambda: api.sent(group) == ["before"])
        new = api.upgrade(group, -1000000000077)
        api.say(new, "@Snow_Bot after")
        await until(lambda: api.sent(new) == ["after"])
    assert [message.text for message in engine.prompts[-1]] == ["before", "before", "after"]


async def test_an_unclear_send_is_not_repeated_even_after_a_restart(
    api: BotApi, tmp_path: Path
) -> None:
    ann = api.chats.private(501)
    api.fault("sendMessage", Fault("drop", accepted=True))
    for text in ("one", "two"):
        async with bot(api, ScriptedEngine(), tmp_path):
            api.say(ann, text)
            await until(lambda text=text: text in api.sent(ann))  # type: ignore[misc]
    assert api.sent(ann) == ["one", "two"]


async def test_a_message_waits_until_the_server_takes_it(api: BotApi, tmp_path: Path) -> None:
    ann = api.chats.private(501)
    api.fault("sendMessage", Fault.refuse(429, "Too Many Requests: retry after 1", retry_after=1))
    async with bot(api, ScriptedEngine(), tmp_path):
        api.say(ann, "one")
        await until(lambda: api.sent(ann) == ["one"])
    first, second = api.called("sendMessage")
    assert second.at - first.at >= 1


async def test_the_same_update_twice_is_answered_once(api: BotApi, tmp_path: Path) -> None:
    ann = api.chats.private(501)
    message = api.say(ann, "one")
    api.updates.add_raw({"message": message})
    for _ in range(2):
        async with bot(api, ScriptedEngine(), tmp_path):
            api.updates.add_raw({"message": message})
            await until(lambda: api.sent(ann) and not api.updates.pending)
    assert api.sent(ann) == ["one"]
