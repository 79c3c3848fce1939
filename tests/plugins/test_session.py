from pathlib import Path

import pytest

from bot.testing import ScriptedEngine, talking
from trainer.chat import Message

pytestmark = pytest.mark.anyio


async def test_reset_forgets_for_the_model_and_keeps_in_the_store(plugins: Path) -> None:
    engine = ScriptedEngine()
    async with talking(plugins / "session.py", engines={"robin": engine}) as talk:
        await talk.say("one")
        assert await talk.say("/reset") == ["All that was said is forgotten."]
        await talk.say("two")
        assert engine.prompts[-1] == [Message("user", "two")]
        assert (await talk.runtime.store.counts())["turns"] == 4


async def test_undo_takes_back_round_after_round(plugins: Path) -> None:
    engine = ScriptedEngine()
    async with talking(plugins / "session.py", engines={"robin": engine}) as talk:
        for text in ("one", "two", "three"):
            await talk.say(text)
        assert await talk.say("/undo") == ["Taken back: three"]
        assert await talk.say("/undo") == ["Taken back: two"]
        await talk.say("four")
        assert [message.text for message in engine.prompts[-1]] == ["one", "one", "four"]
        for _ in range(2):
            await talk.say("/undo")
        assert await talk.say("/undo") == ["Nothing was said yet."]


async def test_retry_answers_the_same_question_in_its_place(plugins: Path) -> None:
    engine = ScriptedEngine("first", "wrong", "right", "last")
    async with talking(plugins / "session.py", engines={"robin": engine}) as talk:
        assert await talk.say("/retry") == ["Nothing was said yet."]
        await talk.say("a")
        await talk.say("b")
        assert await talk.say("/retry") == ["right"]
        assert [message.text for message in engine.prompts[-1]] == ["a", "first", "b"]
        await talk.say("c")
        assert [message.text for message in engine.prompts[-1]] == ["a", "first", "b", "right", "c"]


async def test_only_an_admin_resets_a_group(plugins: Path) -> None:
    async with talking(plugins / "session.py") as talk:
        refused = await talk.say("/reset", kind="group", chat="g")
        assert refused == ["Only an admin may use that command."]
        done = await talk.say("/reset", kind="group", chat="g", role="admin")
        assert done == ["All that was said is forgotten."]


async def test_a_retry_without_an_answer_takes_nothing_back(plugins: Path) -> None:
    engine = ScriptedEngine("first", " ", "again")
    async with talking(plugins / "session.py", engines={"robin": engine}) as talk:
        await talk.say("a")
        assert await talk.say("/retry") == ["I lost my words."]
        await talk.say("b")
        assert [message.text for message in engine.prompts[-1]] == ["a", "first", "b"]
