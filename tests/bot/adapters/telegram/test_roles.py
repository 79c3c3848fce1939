"""Administrators of a group are known as such, and asking for them stalls nothing."""

import asyncio

import pytest

from tests.bot.adapters.telegram.conftest import Inbox, running, until
from tests.fakes.bot_api import ANN, BEN, BotApi, Fault

pytestmark = pytest.mark.anyio


def roles(inbox: Inbox) -> list[str]:
    return [event.sender.role for event in inbox.events]


async def test_roles_in_groups(api: BotApi, inbox: Inbox) -> None:
    group, ann = api.chats.group(-77), api.chats.private(501)
    group.admins = {501: "creator", 502: "administrator"}
    third = {"id": 503, "is_bot": False, "first_name": "Cid"}
    async with running(api, inbox):
        for author in (ANN, BEN, third):
            api.say(group, "a", author)
        api.say(ann, "a")
        await until(lambda: len(inbox.events) == 4)
    assert roles(inbox) == ["owner", "admin", "member", "member"]
    assert len(api.called("getChatAdministrators")) == 1  # for three messages


async def test_a_group_is_asked_for_again(
    api: BotApi, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.telegram.roles.FRESH", 0.05)
    group = api.chats.group(-77)
    async with running(api, inbox):
        api.say(group, "a")
        await until(lambda: roles(inbox) == ["member"])
        group.admins = {501: "administrator"}
        await asyncio.sleep(0.06)
        api.say(group, "b")
        await until(lambda: roles(inbox) == ["member", "admin"])


@pytest.mark.parametrize(
    "fault",
    [
        Fault("hang"),
        Fault("drop"),
        Fault.refuse(400, "Bad Request: not enough rights"),
        Fault("answer", body=b'{"ok": true, "result": [{}, {"user": 1, "status": []}]}'),
    ],
    ids=["hang", "drop", "400", "odd"],
)
async def test_without_an_answer_everybody_is_a_member(
    api: BotApi, inbox: Inbox, fault: Fault
) -> None:
    group = api.chats.group(-77)
    group.admins = {501: "creator"}
    api.fault("getChatAdministrators", fault)
    async with running(api, inbox):
        begun = asyncio.get_running_loop().time()
        for _ in range(5):
            api.say(group, "a")
        await until(lambda: len(inbox.events) == 5)
        assert asyncio.get_running_loop().time() - begun < 1
    assert roles(inbox) == ["member"] * 5


async def test_quiet_groups_are_forgotten(
    api: BotApi, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.telegram.roles.FRESH", 0.0)
    async with running(api, inbox) as adapter:
        for index in range(30):
            api.say(api.chats.group(-100 - index), "a")
        await until(lambda: len(inbox.events) == 30)
        assert len(adapter._started.roles._groups) == 1
