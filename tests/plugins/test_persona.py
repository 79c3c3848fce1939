from pathlib import Path

import pytest

from bot.testing import TESTER, ScriptedEngine, talking

pytestmark = pytest.mark.anyio

DORY = TESTER.model_copy(update={"name": "Dory", "aliases": (), "greeting": "Hello, I am Dory!"})


def engines() -> dict[str, ScriptedEngine]:
    return {"robin": ScriptedEngine(), "dory": ScriptedEngine("I forgot.", persona=DORY)}


async def test_a_chat_chooses_and_the_others_keep_theirs(plugins: Path, tmp_path: Path) -> None:
    players = engines()
    store = tmp_path / "bot.db"
    async with talking(plugins / "persona.py", engines=players, store=store) as talk:
        await talk.say("before")
        (shown,) = await talk.say("/persona")
        assert shown.startswith(TESTER.summary) and "/persona dory  Dory" in shown
        assert await talk.say("/persona Dory") == ["Hello, I am Dory!"]
        assert await talk.say("do you know me?") == ["I forgot."]
        assert len(players["dory"].prompts[0]) == 1, "the other's history is not its own"
        assert await talk.say("hi", chat="elsewhere") == ["hi"]
    again = engines()
    async with talking(plugins / "persona.py", engines=again, store=store) as talk:
        assert await talk.say("still there?") == ["I forgot."]


async def test_members_of_a_group_only_look(plugins: Path) -> None:
    async with talking(plugins / "persona.py", engines=engines()) as talk:
        refused = await talk.say("/persona dory", kind="group", chat="g")
        assert refused == ["Only an admin may change the persona."]
        assert await talk.say("/persona nobody") == ["There is no persona nobody."]
