from pathlib import Path

import pytest

from bot.testing import ScriptedEngine, talking

pytestmark = pytest.mark.anyio


async def test_a_correction_is_kept_and_the_wrong_round_goes(plugins: Path) -> None:
    engine = ScriptedEngine("I am a language model.", "Robin.")
    config = {"owners": ["loopback:boss"]}
    async with talking(plugins / "correct.py", engines={"robin": engine}, config=config) as talk:
        await talk.say("who are you?", user="boss")
        assert await talk.say("/correct I am Robin.", user="boss") == ["I am Robin."]
        await talk.say("really?", user="boss")
        assert [message.text for message in engine.prompts[-1]] == ["really?"]
        kept = await talk.runtime.store.items("correct", "robin")
        (text,) = kept.values()
        assert '"user": "who are you?", "wrong": "I am a language model."' in text
        assert '"bot": "I am Robin."' in text


async def test_it_says_how_it_is_used_and_is_the_owners(plugins: Path) -> None:
    async with talking(plugins / "correct.py", config={"owners": ["loopback:boss"]}) as talk:
        (usage,) = await talk.say("/correct", user="boss")
        assert "/correct" in usage
        assert await talk.say("/correct x") == ["Only the bot's owner may use that command."]
