from pathlib import Path

import pytest

from bot.testing import talking

pytestmark = pytest.mark.anyio


async def test_it_lists_what_whoever_asks_may_use(plugins: Path) -> None:
    owners = {"owners": ["loopback:boss"]}
    files = (plugins / "help.py", plugins / "status.py", plugins / "session.py")
    async with talking(*files, config=owners) as talk:
        (listed,) = await talk.say("/help", user="ann", kind="group", chat="g")
        assert "/undo  /撤回  take the last round back" in listed
        assert "/help" in listed and "/reset" not in listed and "/status" not in listed
        (listed,) = await talk.say("/help", user="boss", kind="group", chat="g")
        assert "/reset" in listed and "/status" in listed


async def test_it_explains_one_command_by_any_of_its_names(plugins: Path) -> None:
    async with talking(plugins / "help.py", plugins / "session.py") as talk:
        assert await talk.say("/帮助 /撤回") == ["/undo  /撤回  take the last round back"]
        assert await talk.say("/help nonsense") == ["There is no command nonsense."]


async def test_whoever_opens_the_chat_is_greeted(plugins: Path) -> None:
    async with talking(plugins / "help.py") as talk:
        (hello,) = await talk.say("/start")
        assert hello == "I am Robin.\n(/help lists commands)"
        (listed,) = await talk.say("/help")
        assert "start" not in listed


async def test_a_hint_is_a_command_that_one_may_use(plugins: Path) -> None:
    files = (plugins / "help.py", plugins / "status.py")
    async with talking(*files, config={"owners": ["loopback:boss"]}) as talk:
        assert await talk.say("/statu") == ["There is no command /statu. Try /help"]
        assert await talk.say("/statu", user="boss") == ["There is no command /statu. Try /status"]
