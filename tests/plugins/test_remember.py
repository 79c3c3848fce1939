from pathlib import Path

import pytest

from bot.testing import ScriptedEngine, talking
from trainer.chat import Message

pytestmark = pytest.mark.anyio


async def test_a_note_reaches_the_model_until_it_is_forgotten(plugins: Path) -> None:
    engine = ScriptedEngine()
    async with talking(plugins / "remember.py", engines={"robin": engine}) as talk:
        assert await talk.say("/remember I like tea") == ["I will remember."]
        await talk.say("hello")
        assert engine.prompts[-1] == [
            Message("user", "Remember: I like tea"),
            Message("assistant", "I will."),
            Message("user", "hello"),
        ]
        assert await talk.say("/remember") == ["I like tea"]
        assert await talk.say("/forget") == ["Forgotten."]
        await talk.say("bye")
        assert [message.text for message in engine.prompts[-1]] == ["hello", "hello", "bye"]
        assert await talk.say("/forget") == ["There is nothing noted."]


async def test_a_private_secret_never_enters_a_group(plugins: Path) -> None:
    engine = ScriptedEngine()
    async with talking(plugins / "remember.py", engines={"robin": engine}) as talk:
        await talk.say("/remember the code is 1234")
        await talk.say("the other secret is 5678")
        await talk.say("hi", chat="g1", kind="group", mention=True)
        await talk.say("/remember group one secret", chat="g1", kind="group")
        await talk.say("hi", chat="g2", kind="group", mention=True)
        for prompt in engine.prompts[1:]:
            assert prompt == [Message("user", "hi")]
        await talk.say("hi", user="bob", chat="g1", kind="group", mention=True)
        assert "secret" not in engine.prompts[-1][-3].text, "a note is on one person"


async def test_notes_are_bounded(plugins: Path) -> None:
    settings = {"remember": {"most": 2, "length": 10}}
    async with talking(plugins / "remember.py", settings=settings) as talk:
        assert await talk.say("/remember " + "x" * 11) == [
            "That is too long; 10 characters at most."
        ]
        for note in ("a", "b", "c"):
            await talk.say(f"/remember {note}")
        assert await talk.say("/remember") == ["b\nc"]
